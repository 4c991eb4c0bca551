"""Parts that are said to be missing are missing: sizes are facts, durations in headers are estimates."""

import base64
import threading
import zlib
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest

from support.clips import copy, number_of, numbered, write_clip
from utils.video.decoding.container import VideoError, put_index_first
from utils.video.decoding.reader import VideoReader
from utils.video.decoding.truncation import is_cut_short
from utils.video.live import LiveReader
from utils.video.sources import open_source

CONSTANT = list(range(0, 2400, 40))


def numbers_in(path, **options):
    with open_source(str(path), **options) as reader:
        return [number_of(frame.image) for frame in reader], reader.missing


def cut_out(source, target, start: float, seconds: float):
    """A part, not encoded anew: the packets from the key frame before it, whose first images an edit list hides."""
    with av.open(source) as old, av.open(target, "w") as new:
        video = old.streams.video[0]
        stream = new.add_stream_from_template(video)
        packets = [packet for packet in old.demux(video) if packet.size]
        for number, packet in enumerate(packets[:2]):  # Matroska does not tell when these are decoded
            packet.dts = round((number - 2) / 30 / video.time_base) if packet.dts is None else packet.dts
        offset = round(start / video.time_base)
        first = max(n for n, packet in enumerate(packets) if packet.is_keyframe and packet.pts <= offset)
        for packet in packets[first:]:
            if (packet.dts - offset) * video.time_base < seconds:
                packet.pts, packet.dts, packet.stream = packet.pts - offset, packet.dts - offset, stream
                new.mux(packet)
    return target


@pytest.mark.parametrize("start", [0.2, 0.9, 1.3, 2.7])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_a_part_that_was_cut_out_is_whole(tmp_path, start, suffix):
    source = tmp_path / "whole.mkv"  # in milliseconds
    with av.open(source, "w") as output:
        stream = output.add_stream("libx264", rate=30, options={"g": "45", "bf": "3", "crf": "15"})
        stream.width, stream.height, stream.pix_fmt = 176, 96, "yuv420p"
        for number in range(150):
            pixels = numbered(number)
            pixels[16:] = np.roll(pixels[16:], 5 * number, 1)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    part = cut_out(source, tmp_path / f"part{suffix}", start, 1.5)
    numbers, missing = numbers_in(part)
    assert missing is None and len(numbers) >= 40
    assert numbers[:40] == list(range(numbers[0], numbers[0] + 40))  # at the end some were cut off
    if suffix in (".mp4", ".mov"):
        assert abs(numbers[0] - start * 30) <= 1
        put_index_first(part, tmp_path / "first.mp4")
        data = (tmp_path / "first.mp4").read_bytes()
        (tmp_path / "short.mp4").write_bytes(data[: len(data) * 9 // 10])
        assert "ends early" in numbers_in(tmp_path / "short.mp4")[1]


def with_wmv(path, times_ms, audio):
    with av.open(path, "w") as output:
        video = output.add_stream("wmv2", rate=25)
        video.width, video.height, video.pix_fmt = 176, 96, "yuv420p"
        sound = output.add_stream(audio, rate=44_100) if audio else None
        if sound:
            sound.codec_context.layout, sound.codec_context.bit_rate = "mono", 64_000
        for number in range(len(times_ms)):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        for sample in range(0, len(times_ms) * 1764 if sound else 0, 2048):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), format="fltp", layout="mono")
            tone.sample_rate, tone.pts, tone.time_base = 44_100, sample, Fraction(1, 44_100)
            output.mux(sound.encode(tone))
        if sound:
            output.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("audio", ["wmav2", None])
@pytest.mark.parametrize("suffix", [".wmv", ".asf"])
def test_windows_media_with_sound_is_whole(tmp_path, suffix, audio):
    clip = with_wmv(tmp_path / f"clip{suffix}", CONSTANT, audio)
    assert numbers_in(clip) == (list(range(60)), None)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    numbers, missing = numbers_in(clip)
    assert 0 < len(numbers) < 60 and "ends early" in missing


# Theora 64x32, ten images a second for two seconds, of which only every tenth is another: the rest are empty packets.
THEORA = (
    "c-p0xc|4Tu_s3_DeH*)E8ASG($SzCFAT(pkNElnhAX}7dAzN88B;>JX&)9ckZ)AyVX<@R3EUCy+^BwW~exJX7&mYg{b>G+fKG(U<^*Z-`o%@e-<;"
    "D#&00rPghx})kk4SmV1`Cu7^K*6f@<CHl00C4-YqS6Wp+C#$$v5!-E&u>BedTBuz~6T{a)7-5!Z2%+{-&hx<1LxUUL$mX%LNtL^GdQ%2;^wFAo+I"
    "obo6p^_R%0a9m!7lKTaVJH;3c6h-0)5o!f01a_6ZlF)(EH&02ycn5GthX`u-YtdU?^t^Xzh!c>~wNO^f^$#xj1a?N8&@`r1g`8jq8QES%UK`NOKU"
    "CihLt1ToR$BIVq(gv&ZKcddp4r{fP<e;N+0Fx)qFh)~!YQ-pXa?LC%21zIOqUHMUW9x?<URcJ}>4cw8(aU97ew@)b=?qDaKWmzyoT3j-deGfDJ$F"
    "-qhoRRYS1So7%u1fXzqFU;puHciRkihRg~xvdYilE3zb1mfNTk->9N9!75kw#eN+uErIvSBkF!Y$m<NpM}<AB=9I6OHXjO^^Jnj0mXot=0h5Q@f)"
    "j&_2eWQ#}~)egsXj*>|p$sj+B{^2N~Di;`WU;Z^7PlV>@cYBlLBkre~g%LsMHy8XViC_n_0@$SAXoS4qDXs^c-5gYl0k_km&7*pE#HnEc(0?m17@"
    "3?)7FZj7gj^*0kC}Ts{<A<}^tO(Ujy703LimX22sWJ~ZXa3yENu`tVn<O?5eh~Yh#fIJKbj21^WTrGe-;$^F9jxlfLr0oxD#}qVDto|Cm1~e@dU&"
    "Z5J4c2_O0A5;4vt`#}Gyy!xVW8Q{*vBlaG;-cY<6X5U3sAMG=0C`zN3}0Tu8VRKR0UQyhc#1hjx)TN}T7w(q}a%2igKb`cMb;_IAXzw0xo*ZfEcA"
    "F{}%+t!Io*`F{~7_97_j--3pxz2BtK8&s_V@fDBZ9TZnLQsow%eWqoqmoO8N0%WyoLWPCHXN?PYlFn;b}jU^<CaRusO*c7PaV5IqrTPz#t%$7dSz"
    "+GZMCv}Yd93=FA^ACHr4H;Se<k+L%6r|%7EcJ;deN`;s#qpv^EfT;n_Z!nA=rXPe~@wwu_SD^~!x%8g<n&?KZ$}e2l%=zm!Z27ZAH%swqFrv9#Zm"
    "O|a$DvPyBF>){3AgijAz{AWo{ecRI#G&T6zHMK|5mX0i81CL-2b;k&Gr18S0w`Z(^1;wex2(^JSbMmX7xh$!y9SPVY7hQ!w>lf;AJrd>g-aWde$S"
    "?cX>?^#*(v1CjflDTv7W!eLQ)}<rOvKV}G7Z<D*~XO^q?j~&1>hmxr75YWMzfuI^6jFq@dQHQ3_QEhm-WG|4G+N;jNUogO7Gq^lpZ!w)b8DFu;Tc"
    "=CkfrTn)^=mr{fSJktkI2w{?T1keNu`rmD}@PP--yPkttk_;Z>{m)o7Yw;47QOPVSQgb61(cXPa-kyU#WXwR^QDh^u};0tcfHIcgZ%qJk`J63lLz"
    "E=ceU*aCF#6S4<{1zr|`8EAbH&^dP9%HE)(Qh^hN`t4HqIVu+r~Bqa-tE%dqPS6eSv=ePxxDym8FV9ynj*c}4ocXaX?<C$*TsHu{Eky2DKW0Zx(l"
    "$s17Tly?>-}&)g@iw3nWT8#I~hqFrYe!7Q*R0UTTNgeXi1+?>~gyG{V5E3G62ED3!>*{V4N<Ce>l~Lr-Q<WG_?Q&UH21^#Z>1VYVPHL0U;u*e1iJ"
    "9SQXc$Jl<^yi2~`gQpSi>|D~NeseTtISl2AIz^7HSM)1oAI$AfU?XC@Nw?Aw=8^?!u5^Vn#;!}mEG7KK+QT1bu3K3KMXnFx=1heVOhxG^g{V+CO;"
    "ccPcRPGi3VK6ufo{VKfx2#Zn{GpdYN#&V;CxhPXghNhFL7q}k&(l1poO@w(G$l7>J1i$TK{cs-<SbleT|#!?aE)y4yF2*Z8<(PEcpVmznpLAZ3ir"
    "%V-zsuZwK<vMVU7MGhs7}2@Ut?C?7<9;V}Lg*XyRHYQ5tZ93yEucL&OMlThS`4h`VTwXD<Vacvg3ER;!VqG7r4L1Rf=)VMgB+CN^xBH8!SbF@PBU"
    "BTsPYeCk%Zoa_=O*Qxn`FJTC*A-T=bT^HBil+&4wbt#F%YqGAOdM=%^_h0TU2|~m;6;?Pp;e7PZSX643&G}SpsxVmB+4z2tq4>86rLmgXjCK5dw<"
    "p9Of}Qd)U&?dTLH1K5Po#mJNh|KN5)SyBYS3uI>z~$8EQv^On2!F)%NP%k7s!1;xzgeNR^AH^n{!gC*+M5b06_H$5r=e3W#W=>~cMPUBO+<t1$S^"
    "#>!aJm2=t*5kFs|BA9aE=cUYPs@f5`#It>|7M$PlnsJnRrodP>d2z+r`J<=A`)^SlKrX}w;J{Xru@uH{SY5EiQQO&R^G>npPX~R)2`Ph`ftYKJ{+"
    "~n8r=<?B+UH=)TC@=#3n4V_d2<cVKgL`pFb>rjj(I#Gk{(Em!>Vy@hKMcDcTwBUcyN8m(;ITX@hT?G5wm51IBv%Q3uRF`Lp-J=bx6K%VJ8OZ3;3~"
    "}IB5yntmwx|aQza=(Pu3$PvCxh-Yt_7bF1Zd9{=;paK4yfot5}OUI({KjBCSNPAyZ_jb1kc($A<K<3o-_v_gI{-L!XTdiUJ~)Hjs9uD;<6#&Pr2<"
    "hW!(<Est|$kB^ERxr2Q3R#<Cglaco;$8-2S?I&`4c+81zInUS-r#R@0RwXD0zdjb-7UWgpoeyRKg1X1-rNKV4UW0Yyh;O!Y;@Ji-BCWc)%3cD04>"
    "7QVPSM~@PVf>EEmhGavB=Awn8~XZmH*}#9D~bUJ0$O#?2xd=_xTNg%K`xxwK8{`R{At<S<BXn$nP{EAtiSeYR5FD>4=6SsPk5<<uy`)UOQ-17{~4"
    "Ut)bJk8R^Cu8afuSB^BcUk#s6MuZ)mM8U9n5V(DT<wKP-YtAdq4T%!U2Z%)W?Ml2I|EvtcUjM8cw7zLE!T4j#p&4Rx*%GfI5|70`^VB(P6QLHtIE"
    "%SGyUIR_N1?b8CB-7ajjiW1ihLf{_0yfH$fF$kn7F(d_HY3HX1_GKBZ)QjHmEnQYoV+!qkg>0#fs#m-D(>#MY`P|g^jT2mbP}ml)7+_z$H|L;Pj="
    "2$jp{iVG1}GXVY1RB6R3H#t7$@Gr%=M{BnWQG%NvSH6KE-iA^=Zl#!yXY6qJqxqqy%6TqzMb;jCE!=d63QFe0qqI~*W=y&Nw^g@UE?=W|m=rh$Fr"
    "HJb~C^Z9o9qEdxc#rEZ9iERgL$VaM{?vlyg3pnQ!br^d;jX9PZf_jnw?8Wkm?k4n{z(`%(!Y~@s_QP$28VrM)8lIMUc;>rbl&XU|C9U@_sGZ3k`j"
    "TRx-NL897b{64<vwN!n{=(y>BFYtZf+moPr<t<ab<_3X&{^eNDLp0?hgG%#8@YoqC_~wK8#M5gw9exou(oa9%W87>NH2?R=(J^P)+9{<`4$z@uN%"
    "6$_;$oTlD6#Xz<#qc`#x=K+}VrB4IBt?l2hzvUO)U~r5sl(Xsh3uQx-8AV{^Nhos5sIQ*YqzM)N%(A>ZU?E*Dh~%yyYI*D1rjlRMAj2{0L;khbDA"
    "d5zo1ZYEIOdm-j$cSBBqL2~NFGx$u3MD%_+|L_?*a2UIxQk$o-&%e4sXu8aA&&vwHYw!a9pvxYFI!SBmmrY-ZiOp&;OO+eIvEC#XG<FC2PJYo!(?"
    "sYliOfJ<a`I`*&B>$*~&0w$GYl|DV%4?sc^O*6SR#PnRJTMieAGW0bija6k8SopoM>^qlB$XBpR7n@#l{`F8H2?16bJwxB0DiF{RxT*;wtA)oF|J"
    "h?E*5?e2vN{IThXMc8l#CjpgAIcq5^Sch6A}L0VjHN6dvfp^qr5&)CemP|IUf;72KeYP1$)16*{+%ZTwmXQdH{*{%s*C$kt#S>fg;$uL!jhgQ=_^"
    "Z^S}54YS*9985Z)jIaN$=P%X}y1R7bH_HFw;M=O^@37;4X_uC_mq+cpYM&C%)X9pg(~8JbxR%u;`A?l}^I8Z_Ul!cU=c7=jh89Nd3RwrRaMPt9D}"
    "d}WK2e%H6*Ftfn$%S$eQHoxaB8hB<I<ZgDi|F++!EzZwY9aR=(`Saozl|P6RmfS(Oeuq!_^Xn6{vr|*=rXF;3bd>+dz{M;BdW60bKmo5dpwd6JYl"
    "{wIAuSnJdO_KJ2>s-Jz15X*Sz$F?;H5#s5&rQk!)tbTZToRp9`-PN7PXeWhY~Ox^2GDC;((@R;Z^fBkMZ@G51$99R<<}o|3b?Q?VW4r0sQb!jOIP"
    "q{lJz2|H7yw<U^67VGl5+X7rWVroFhu+3Oe0WF4&aGR&2}xmi;jA9j4UhJQO-N;0=4X=v&H+f@1*1-3sg`MB2>wLKL^S;W{Ad7*n)EmmA=_SrLR4"
    "-@zhE2e|Sd8yQ>btwuu+~pOqd2%yt{JEUn6+25d+uz^JV_&2|J{lUP<*U5)I{mVYnU5BctM()u&@db{VPRW=SlP47$PoBaTpDymY3d<IJ%l#qIIq"
    "ip%ZrLk^97M<AmERWN{jM;zEfld;;SJPq-THX@jwE>RxDXev3QD6Y{J+~!AK~pC&Ed|SS_Qsm{JvQ1dSB(kP#-W8#*XdGOd*hvU|WO?XK2{QZ;9+"
    "nT7k6&?2y*YnHsiMLLky<hX=M<}cD8nw-b-cb4C~t@_E3%Q0eM?9zCj{^QZuAq@j4dqs&IaI3Y<FON712f_+Yr(ElQ%AoD0`{p!?u0%8%S8slSPg"
    "pwb{4F6bOOPD7t=f!G#@eaIHMv-;s~pfsbQIbY`3%bjOlUlPxHgg#DCu!KY3d@0Ay`S{Dam8IE+u?zFG+WGt$@U`7qILBTVZQ~l*0&THQsKFIe3{"
    "#HM;*IDK`=Bs5^(cTwJlir&jF^7-`4vXgVHz_W!Yaf7Y{F`V!A0Z$=$3Ws2~6hFoJ$4Uu{*b3?Ri!`c3YeB%Heo2LG1^X=K|@m&JeYK0?`km8{Pa"
    "bOY;JAxOO_6)wfx|)r7nvLUY<JHQ(NRfC5Nn1L6{7Icsa_zLpgEM_MMpX)a_wgmE;|mh402~Q|@-5qR<bn&KuDHkx)G5C%_;^n1KRq%aMF"
)


def test_theora_repeats_images_by_empty_packets(tmp_path):
    (tmp_path / "a.ogv").write_bytes(zlib.decompress(base64.b85decode(THEORA)))
    with VideoReader(tmp_path / "a.ogv") as reader:
        frames = list(reader)
    assert reader.missing is None and len(frames) > 1
    times = [frame.time for frame in frames]
    assert times == sorted(set(times)) and Fraction(1) in times
    copy(tmp_path / "a.ogv", tmp_path / "out.mp4")


def test_subtitles_may_outlast_the_image(tmp_path):
    """A Matroska file states the length of its longest stream, where no tag has that of each."""
    clip = write_clip(tmp_path / "clip.mkv", CONSTANT, audio="aac")
    data = bytearray(clip.read_bytes().replace(b"DURATION", b"NOTHINGS"))
    at = data.index(b"\x44\x89\x88") + 3  # Duration, eight bytes, in milliseconds
    data[at : at + 8] = np.array([20_000.0], ">f8").tobytes()
    clip.write_bytes(data)
    assert numbers_in(clip) == (list(range(60)), None)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".wmv"])
def test_sizes_tell_what_was_cut_off(tmp_path, suffix):
    clip = tmp_path / f"clip{suffix}"
    if suffix == ".wmv":
        with_wmv(clip, CONSTANT[:12], None)
    else:
        write_clip(clip, CONSTANT[:12], codec="mpeg4" if suffix == ".avi" else "libx264")
    data = clip.read_bytes()
    assert is_cut_short(clip) is False
    for part in (len(data) - 1, len(data) // 2):
        clip.write_bytes(data[:part])
        assert is_cut_short(clip) is True, part
    clip.write_bytes(data[:3])
    assert is_cut_short(clip) is None


class WholeOnly(BaseHTTPRequestHandler):
    """Sends files as a whole, whatever part is asked for; `length` says whether it reports their sizes."""

    folder = None
    length = True

    def do_GET(self):
        data = (WholeOnly.folder / self.path.lstrip("/")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        if WholeOnly.length:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        """Nothing on the screen."""


@pytest.fixture
def server(tmp_path):
    WholeOnly.folder, WholeOnly.length = tmp_path, True
    server = ThreadingHTTPServer(("127.0.0.1", 0), WholeOnly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_files_of_a_server_without_byte_ranges(tmp_path, server):
    def noise(number, size_wh):  # more than what is read ahead at once
        pixels = np.random.default_rng(number).integers(0, 255, (*size_wh[::-1], 3), np.uint8)
        pixels[:16] = numbered(number, size_wh)[:16]
        return pixels

    last = write_clip(tmp_path / "last.mp4", CONSTANT, audio="aac", draw=noise)  # its index comes last
    put_index_first(last, tmp_path / "first.mp4")
    write_clip(tmp_path / "a.ts", CONSTANT)
    for name in ("first.mp4", "a.ts"):
        assert numbers_in(server + name) == (list(range(60)), None)
    with pytest.raises(VideoError, match=r"last.mp4: .* index at its end needs a server .* \(byte ranges\).* download"):
        numbers_in(server + "last.mp4")
    WholeOnly.length = False
    assert numbers_in(server + "first.mp4") == (list(range(60)), None)


def test_a_file_of_a_server_that_is_cut_short_is_found(tmp_path, server):
    put_index_first(write_clip(tmp_path / "last.mp4", CONSTANT), tmp_path / "first.mp4")
    data = (tmp_path / "first.mp4").read_bytes()
    (tmp_path / "short.mp4").write_bytes(data[: len(data) * 2 // 3])
    numbers, missing = numbers_in(server + "short.mp4")
    assert 0 < len(numbers) < 60 and "ends early" in missing


def test_a_playlist_is_no_file_of_known_size(tmp_path, server):
    write_clip(tmp_path / "a.ts", CONSTANT)
    (tmp_path / "live.m3u8").write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2.4,\na.ts\n"
    )
    with open_source(server + "live.m3u8", end=0.05, reconnects=0) as reader:
        assert isinstance(reader, LiveReader) and next(iter(reader)).index == 0
