"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const about = JSON.parse(byId("about").textContent);
  const slider = byId("threshold"), start = slider.value;
  const image = byId("image"), video = byId("video"), stage = byId("stage"), camera = byId("camera");
  let worker = null, latest = 0, shown = null, stream = null, address = null;

  const say = (id, text) => { if (byId(id).textContent !== text) byId(id).textContent = text; };
  const fail = (text) => { say("error", text); byId("error").hidden = !text; };
  const note = (text) => { say("note", text); byId("note").hidden = !text; };
  const counted = (count, one, several) => `${count} ${count === 1 ? one : several}`;

  // The start is a score itself, such as 0.4713, of which the slider has two digits. A score of 0.29999999, which is
  // 0.3 in single precision, counts as 0.3.
  const threshold = () => slider.value === start ? about.threshold : Number(slider.value) - 1e-7;

  // ---- the detector

  const waiting = new Map();
  let questions = 0;
  function ask(task, values, moved) {
    const id = questions += 1;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, task, values }, moved);
    });
  }

  function startWorker() {
    worker = new Worker(URL.createObjectURL(new Blob([byId("worker").textContent], { type: "text/javascript" })));
    worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) resolve(value); else reject(new Error(error));
    };
    worker.onerror = (event) => {
      for (const { reject } of waiting.values()) reject(new Error(event.message || "its worker stopped"));
      waiting.clear();
    };
  }

  // Browsers do not let a page that is opened as a file read the files beside it, but they run scripts: so the files
  // lie there as scripts, too, which hand over their bytes in parts, as base64.
  const parts = {};
  globalThis.filePart = (name, text) => { (parts[name] ||= []).push(bytesOf(text)); };
  function bytesOf(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const characters = atob(text), bytes = new Uint8Array(characters.length);
    for (let i = 0; i < characters.length; i += 1) bytes[i] = characters.charCodeAt(i);
    return bytes;
  }
  function scriptOf(file) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = encodeURIComponent(file);
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${file} is not beside this page, or cannot be read; keep the folder together`));
      document.head.append(script);
    });
  }
  async function taken(name) {
    const bytes = await new Blob(parts[name]).arrayBuffer();
    delete parts[name];
    return bytes;
  }

  async function modelBytes() {
    const file = about.model_file;
    if (location.protocol === "file:") {
      await scriptOf(`${file}.js`);
      return taken(file);
    }
    const answer = await fetch(encodeURIComponent(file));
    if (!answer.ok) throw new Error(`${file}: the server answers ${answer.status} ${answer.statusText}`);
    const reader = answer.body.getReader(), chunks = [];
    for (let got = 0; ;) {
      const { done, value } = await reader.read();
      if (done) return new Blob(chunks).arrayBuffer();
      chunks.push(value);
      byId("progress").value = Math.min(1, (got += value.length) / about.model_bytes);
    }
  }

  async function load() {
    if (typeof WebAssembly !== "object" || typeof OffscreenCanvas === "undefined") {
      throw new Error("this browser is too old for it: it has no WebAssembly or no OffscreenCanvas");
    }
    startWorker();
    await scriptOf("runtime.js");
    const [runtime, wasm] = [await taken("runtime"), await taken("wasm")];
    const model = await modelBytes();
    byId("progress").removeAttribute("value");
    await ask("load", { runtime, wasm, model }, [runtime, wasm, model]);
    byId("progress").hidden = true;
    byId("file").disabled = camera.disabled = false;
    say("status", "Ready.");
  }

  // ---- images

  const OPTIONS = { colorSpaceConversion: "none" };  // the pixels as they are stored: the network learned from those

  async function detect(bitmap) {
    const limits = { img_size: about.img_size, long_side: about.long_side };
    return ask("detect", { bitmap, limits }, [bitmap]);
  }

  async function openImage(file) {
    if (!session()) return;
    stopCamera();
    const mine = latest += 1;
    fail("");
    note("");
    say("status", "Detecting …");
    try {
      const bitmap = await createImageBitmap(file, OPTIONS).catch(() => {
        throw new Error("cannot be read as an image; browsers read JPEG, PNG, WebP, AVIF, GIF and BMP");
      });
      const result = await detect(bitmap);
      if (mine !== latest) return;
      if (address) URL.revokeObjectURL(address);
      image.src = address = URL.createObjectURL(file);
      await image.decode().catch(() => {});
      if (mine !== latest) return;
      present(image, result);
      if (result.transparent) {
        note("The image has transparent parts, which the page takes as black: the toolkit's own results may differ there.");
      } else if (about.pixel_range) {
        note("Images of more than 8 bits are read in full by the toolkit, and by their upper 8 bits here: results for them differ.");
      }
    } catch (error) {
      if (mine !== latest) return;
      say("status", shown ? "The result below is of the image before." : "Ready.");
      fail(`${file.name || "The image"}: ${error.message}`);
    }
  }

  const session = () => !byId("file").disabled;

  // ---- camera

  async function startCamera() {
    const mine = latest += 1;
    fail("");
    note("");
    if (!navigator.mediaDevices) {
      fail("No camera: browsers give it to pages from https, from localhost, or opened as a file. On a phone, \"Choose an image\" can take a photo.");
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      stopCamera();
      const reasons = { NotAllowedError: "the browser was not allowed to use it", NotFoundError: "none was found", NotReadableError: "another program uses it" };
      fail(`No camera: ${reasons[error.name] || error.message}.`);
      return;
    }
    camera.setAttribute("aria-pressed", "true");
    camera.textContent = "Stop the camera";
    say("status", "Detecting …");
    const track = stream.getVideoTracks()[0];
    while (mine === latest) {
      try {
        if (track.readyState === "ended") throw new Error("it was switched off");
        const result = await detect(await createImageBitmap(video, OPTIONS));
        if (mine === latest) present(video, result);
      } catch (error) {
        if (mine === latest) { stopCamera(); fail(`The camera stopped: ${error.message}`); }
      }
      await new Promise(requestAnimationFrame);  // none comes while the page is hidden
    }
  }

  function stopCamera() {
    latest += 1;
    if (stream) for (const track of stream.getTracks()) track.stop();
    stream = null;
    camera.setAttribute("aria-pressed", "false");
    camera.textContent = "Use the camera";
    if (!shown || !shown.moving) return;
    shown = null;  // its frame has gone with it
    stage.hidden = byId("results").hidden = true;
    byId("invitation").hidden = false;
    byId("drop").classList.remove("full");
  }

  // ---- what was found

  function present(source, result) {
    shown = { ...result, moving: source === video };
    image.hidden = source !== image;
    video.hidden = source !== video;
    stage.hidden = byId("results").hidden = false;
    byId("invitation").hidden = true;
    byId("drop").classList.add("full");
    byId("status").setAttribute("aria-live", shown.moving ? "off" : "polite");
    render();
  }

  function boxElement({ box: [x1, y1, x2, y2], score, label }) {
    const box = document.createElement("div"), text = document.createElement("span");
    const [hue, ink] = about.colors[label], { width, height } = shown;
    box.className = `box${y1 < 0.08 * height ? " high" : ""}${x1 > 0.7 * width ? " right" : ""}`;
    box.style.setProperty("--hue", hue);
    box.style.setProperty("--text", ink);
    const place = { left: x1 / width, top: y1 / height, width: (x2 - x1) / width, height: (y2 - y1) / height };
    for (const [side, share] of Object.entries(place)) box.style[side] = `${100 * share}%`;
    Object.assign(box.dataset, { box: `${x1} ${y1} ${x2} ${y2}`, score, label });
    text.textContent = `${about.class_names[label]} ${score.toFixed(2)}`;
    box.append(text);
    return box;
  }

  function rowElement({ box: [x1, y1, x2, y2], score, label }) {
    const row = document.createElement("tr"), name = document.createElement("th"), sign = document.createElement("i");
    name.scope = "row";
    sign.style.setProperty("--hue", about.colors[label][0]);
    name.append(sign, about.class_names[label]);
    row.append(name);
    for (const text of [score.toFixed(2), ...[x1, y1, x2 - x1, y2 - y1].map((value) => value.toFixed(0))]) {
      row.insertCell().textContent = text;
    }
    return row;
  }

  function render() {
    say("threshold-value", Number(slider.value).toFixed(2));
    if (!shown) return;
    const found = shown.detections.filter(({ score }) => score >= threshold());
    const large = [...found].sort(({ box: a }, { box: b }) => (b[2] - b[0]) * (b[3] - b[1]) - (a[2] - a[0]) * (a[3] - a[1]));
    byId("boxes").replaceChildren(...large.map(boxElement));  // small ones on top
    byId("rows").replaceChildren(...found.map(rowElement));
    byId("results").hidden = !found.length;
    const counts = new Map();
    for (const { label } of found) counts.set(label, (counts.get(label) || 0) + 1);
    const names = [...counts].map(([label, count]) => `${count} ${about.class_names[label]}`).join(", ");
    const below = shown.detections.length - found.length;
    const text = (found.length ? `${counted(found.length, "object", "objects")}: ${names}.` : "No object found.") +
      (below ? ` ${below}${found.length ? " more" : ""} ${below === 1 ? "is" : "are"} below the threshold.` : "") +
      (shown.detections.length >= about.max_detections ? ` ${about.max_detections} are the most that it finds in an image.` : "");
    say("status", `${text} ${shown.width} × ${shown.height} pixels, ${shown.seconds.toFixed(1)} s.`);
    image.alt = `The image. ${text}`;
  }

  slider.addEventListener("input", render);
  byId("file").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    if (file) openImage(file);
    target.value = "";  // so that the same one can be chosen again
  });
  camera.addEventListener("click", () => { if (stream) { stopCamera(); say("status", "The camera is off."); } else startCamera(); });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const [file] = event.dataTransfer.files;
    if (file) openImage(file); else fail("That is no file: drop an image from a folder.");
  });
  addEventListener("paste", ({ clipboardData: { files } }) => { if (files[0]) openImage(files[0]); });

  render();
  load().catch((error) => {
    byId("progress").hidden = true;
    say("status", "");
    fail(`The detector cannot be loaded: ${error.message}.`);
  });
})();
