"""Reading COCO's JSON: what it may hold, and each fault of it."""

import json

import pytest

from support.reading import read_coco
from support.voc_files import CLASSES, write_image
from utils.errors import DatasetError
from utils.formats.coco.format import json_file

CATEGORIES = [{"id": 0, "name": "things"}, {"id": 7, "name": "Gloves"}, {"id": 3, "name": "Mask"}]


def image(number=1, name="a.jpg", **more):
    return {"id": number, "file_name": name, "width": 40, "height": 30, **more}


def annotation(bbox=(1, 2, 10, 10), *, category=3, of=1, **more):
    return {"id": 11, "image_id": of, "category_id": category, "bbox": list(bbox), "iscrowd": 0, **more}


@pytest.fixture
def read(tmp_path):
    """Write a.jpg (40x30) and the JSON; return the Scan."""

    def scan(annotations=(), images=None, categories=CATEGORIES, **options):
        write_image(tmp_path / "images" / "a.jpg")
        content = {"images": images or [image()], "annotations": list(annotations), "categories": categories}
        (tmp_path / "all.json").write_text(json.dumps(content))
        return read_coco(tmp_path / "images", tmp_path / "all.json", CLASSES, progress=False, **options)

    return scan


def texts(scan, check):
    return [finding.text for finding in scan.of(check)]


def test_boxes_and_categories_by_name(read, tmp_path):
    items = [annotation(), annotation((0.5, 0, 39.5, 30), category=7, difficult=1, segmentation=[[0, 0, 1, 1, 2, 2]])]
    scan = read(items)
    (only,) = scan.annotations
    assert scan.findings == [] and only.image_path == tmp_path / "images" / "a.jpg"
    assert only.boxes.tolist() == [[1, 2, 11, 12], [0.5, 0, 40, 30]]
    assert only.labels.tolist() == [1, 2] and only.difficult.tolist() == [False, True]


def test_an_image_without_annotations_is_a_negative_and_one_that_is_not_listed_is_left_out(read, tmp_path):
    write_image(tmp_path / "images" / "more.jpg")
    write_image(tmp_path / "images" / "below" / "b.jpg")
    scan = read(images=[image(), image(2, "below/b.jpg"), image(3, "gone.jpg")])
    assert [a.image_path.name for a in scan.annotations] == ["a.jpg", "b.jpg"]
    assert all(len(a.labels) == 0 for a in scan.annotations)
    assert texts(scan, "unlabelled") == ["more.jpg"] and texts(scan, "orphaned") == ["all.json: image gone.jpg"]


def test_crowds_are_left_out_and_reported(read):
    scan = read([annotation(), annotation(iscrowd=1), annotation(iscrowd=1)])
    assert len(scan.annotations[0].labels) == 1 and texts(scan, "crowd") == ["a.jpg: 2 crowd regions"]


def test_boxes_are_clipped_and_dropped_by_the_rules_of_every_format(read):
    scan = read([annotation((-5, 0, 50, 10)), annotation((3, 3, 0, 5)), annotation((10, 10, -5, 5))])
    assert scan.annotations[0].boxes.tolist() == [[0, 0, 40, 10]]
    assert len(scan.of("box-clipped")) == 1
    assert [text.rpartition(") ")[2] for text in texts(scan, "box-dropped")] == ["is empty", "is inverted"]


def test_another_size_is_reported(read):
    (message,) = texts(read(images=[image(width=80)]), "size-mismatch")
    assert message == "all.json: image a.jpg: <size> is 80x30, a.jpg is 40x30; the boxes are used as they stand"


def test_only_what_a_list_names_counts(read, tmp_path):
    write_image(tmp_path / "images" / "b.jpg")
    scan = read(images=[image(), image(2, "b.jpg")], stems=["images/b.jpg", "c"])
    assert [a.image_path.name for a in scan.annotations] == ["b.jpg"]
    assert texts(scan, "listed-missing") == [f"c: listed, but {tmp_path / 'all.json'} has no such image"]


def test_a_stem_of_two_folders_in_a_list_names_neither_image(read, tmp_path):
    for folder in ("s1", "s2"):
        write_image(tmp_path / "images" / folder / "a.jpg")
    images = [image(1, "s1/a.jpg"), image(2, "s2/a.jpg")]
    assert [a.image_path.parent.name for a in read(images=images, stems=["s1/a.jpg"]).annotations] == ["s1"]
    scan = read(images=images, stems=["a.jpg"])
    assert scan.annotations == [] and len(scan.of("listed-missing")) == 1


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (annotation((1, 2, 3)), "annotation 11: expected a bbox of four finite numbers, x, y, width, height, found [1"),
        (annotation((1, 2, 3, float("nan"))), "annotation 11: expected a bbox of four finite numbers"),
        (annotation((1, 2, 3, 10**400)), "annotation 11: expected a bbox of four finite numbers"),
        (annotation((1, 2, 3, "4")), "annotation 11: expected a bbox of four finite numbers"),
        (annotation((1, 2, 3, True)), "annotation 11: expected a bbox of four finite numbers"),
        ({**annotation(), "bbox": None}, "found None"),
        (annotation(category=99), "annotation 11: category_id 99 is none of the categories'"),
        (annotation(category=[1]), "annotation 11: category_id [1] is none of the categories'"),
    ],
)
def test_each_fault_of_an_annotation_names_file_image_and_annotation(read, tmp_path, item, message):
    scan = read([item])
    assert scan.annotations == []
    (text,) = texts(scan, "annotation-unreadable")
    assert text.startswith(f"{tmp_path / 'all.json'}: image 'a.jpg': ") and message in text
    skipped = read([item], skip_bad=True)
    assert skipped.errors == [] and [f.text for f in skipped.skipped] == [text]


def test_a_category_that_is_no_class_is_an_error_where_an_object_has_it(read, tmp_path):
    categories = [{"id": 3, "name": "mask"}, {"id": 9, "name": "unused"}]
    (finding,) = read([annotation()], categories=categories).errors
    assert finding.check == "unknown-class" and finding.meant == ("mask", "Mask")
    assert finding.text == (
        f"{tmp_path / 'all.json'}: image 'a.jpg': annotation 11: unknown class 'mask' (did you mean 'Mask'?)"
    )
    assert read([annotation()], categories=categories, renamed={"mask": "Mask"}).annotations[0].labels.tolist() == [1]


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "x/../../a.jpg", "C:\\b.jpg", "..\\a.jpg"])
def test_a_name_that_leads_out_of_the_folder_is_refused(read, tmp_path, name):
    write_image(tmp_path / "a.jpg")
    scan = read(images=[image(name=name)])
    assert scan.annotations == [] and "expected a path inside" in texts(scan, "annotation-unreadable")[0]


def test_an_image_that_is_listed_twice(read):
    scan = read(images=[image(), image(2)])
    assert len(scan.annotations) == 1 and "listed twice" in texts(scan, "ambiguous-name")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"\x80\xff", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b"[]", "expected COCO's 'images', a list of objects, found None"),
        (b'{"images": [1], "annotations": [], "categories": []}', "expected COCO's 'images'"),
        (b'{"images": [], "categories": []}', "expected COCO's 'annotations', a list of objects, found None"),
        (b'{"images": [{"id": 1}], "annotations": [], "categories": []}', "expected images with 'id' and 'file_name'"),
        (b'{"images": [{"id": [], "file_name": "a"}], "annotations": [], "categories": []}', "expected images with"),
        (
            b'[{"image_id": 1, "category_id": 1, "bbox": [], "score": 1}]',
            "it looks like COCO's results, the detections",
        ),
        (b'{"images": [], "categories": []}', "it looks like COCO's list of images that are to be labelled"),
        (b'{"shapes": [], "imagePath": "a.jpg"}', "it looks like LabelMe's, one file for each image: export COCO's"),
        (b'{"a.jpg12": {"filename": "a.jpg", "regions": []}}', "it looks like the VGG Image Annotator's"),
        (b'{"_via_settings": {}}', "it looks like the VGG Image Annotator's"),
        (b'[{"image": "a.jpg", "annotations": []}]', "it looks like CreateML's"),
        (b'[{"id": 1, "data": {}, "annotations": []}]', "it looks like Label Studio's own"),
        (
            b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1.0, "name": "b"}]}',
            "two categories have the id 1.0, 'a' and 'b': nothing shows which one an annotation means",
        ),
    ],
)
def test_a_file_that_is_no_coco_file_is_named(tmp_path, content, message):
    (tmp_path / "all.json").write_bytes(content)
    with pytest.raises(DatasetError) as error:
        read_coco(tmp_path, tmp_path / "all.json", CLASSES, progress=False)
    assert str(error.value).startswith(f"{tmp_path / 'all.json'}: ") and message in str(error.value)


def test_a_folder_stands_for_its_only_json_file(tmp_path):
    with pytest.raises(DatasetError, match="expected one COCO JSON file, found none"):
        json_file(tmp_path)
    (tmp_path / "_annotations.coco.json").touch()
    assert json_file(tmp_path) == tmp_path / "_annotations.coco.json"
    (tmp_path / "b.json").touch()
    with pytest.raises(DatasetError, match=r"found _annotations\.coco\.json, b\.json; name the file itself"):
        json_file(tmp_path)


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [1, 1.0, "1", " 1 ", "1.0"])
@pytest.mark.parametrize("number", [1, 1.0, "1"])
def test_an_id_is_one_however_it_is_written(read, of, number):
    categories = [{"id": number, "name": "Gloves"}, {"id": 0, "name": "Mask"}]
    items = [annotation(of=of, category=of), annotation(category=0), annotation(category="0")]
    scan = read(items, images=[image(number)], categories=categories)
    assert scan.findings == [] and scan.annotations[0].labels.tolist() == [2, 1, 1]


def test_ids_that_differ_in_kind_alone_stay_two(read):
    categories = [{"id": 1, "name": "Mask"}, {"id": "1", "name": "Gloves"}]
    items = [annotation(category=1), annotation(category="1"), annotation(category=1.0)]
    assert read(items, categories=categories).annotations[0].labels.tolist() == [1, 2, 1]
    (text,) = texts(read([annotation(category="1.0")], categories=categories), "annotation-unreadable")
    assert "category_id '1.0' is none of the categories'" in text


def test_categories_of_one_name_are_one_class(read):
    categories = [{"id": 1, "name": "Mask"}, {"id": 2, "name": "Mask "}, {"id": 1, "name": "Mask"}, {"name": "x"}]
    scan = read([annotation(category=1), annotation(category=2)], categories=categories)
    assert scan.findings == [] and scan.annotations[0].labels.tolist() == [1, 1]


def test_annotations_of_no_image_are_one_error_that_may_be_left_out(read, tmp_path):
    items = [annotation(), *(annotation(of=number) for number in range(7, 17)), annotation(of=None)]
    (error,) = read(items).errors
    assert error.check == "annotation-unreadable" and error.text.startswith(
        f"{tmp_path / 'all.json'}: 11 of 12 annotations are of none of the images: annotation 11 has image_id 7; "
    )
    assert error.text.endswith("; … and 6 more")
    skipped = read(items, skip_bad=True)
    assert skipped.errors == [] and skipped.annotations[0].labels.tolist() == [1]


def test_two_images_of_one_id_are_errors_of_both(read, tmp_path):
    for name in ("b.jpg", "c.jpg"):
        write_image(tmp_path / "images" / name)
    images = [image(), image(1, "b.jpg"), image(2, "c.jpg")]
    scan = read([annotation(), annotation(of=2)], images=images)
    assert [a.image_path.name for a in scan.annotations] == ["c.jpg"]
    assert len(scan.errors) == 2 and all("two images have the id 1, 'a.jpg' and 'b.jpg'" in f.text for f in scan.errors)
    assert read([annotation()], images=[image(), image(1.0, "./a.jpg")]).annotations[0].labels.tolist() == [1]


def test_entries_without_id_or_name_are_left_out_and_reported(read, tmp_path):
    (error,) = read([annotation()], images=[image(), {"id": 2}]).errors
    assert error.text == f"{tmp_path / 'all.json'}: 1 of 2 images have no 'id' or 'file_name', such as {{'id': 2}}"


# --- boxes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outline", [[[5, 6, 15, 6, 15.5, 20]], [5, 6, 15, 6, 15.5, 20], [[5, 6, 9, 9], [15.5, 20, 9, 9]]]
)
@pytest.mark.parametrize("bbox", [None, []])
def test_a_polygon_without_a_bbox_gives_the_box_around_it(read, outline, bbox):
    scan = read([{**annotation(segmentation=outline), "bbox": bbox}])
    assert scan.findings == [] and scan.annotations[0].boxes.tolist() == [[5, 6, 15.5, 20]]


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ({"counts": [3, 4], "size": [30, 40]}, "has a mask in run lengths and no bbox: expected a bbox"),
        ([[1, 2, 3]], "expected a bbox, or a segmentation of polygons, found [[1, 2, 3]]"),
        ([["a", 2, 3, 4]], "expected a bbox, or a segmentation of polygons"),
        ("x", "expected a bbox, or a segmentation of polygons, found 'x'"),
    ],
)
def test_what_is_no_outline_either_is_an_error(read, outline, message):
    (text,) = texts(read([{**annotation(segmentation=outline), "bbox": None}]), "annotation-unreadable")
    assert message in text


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["./a.jpg", " a.jpg", "images/a.jpg", "images\\a.jpg", ".\\a.jpg", "..\\images\\a.jpg"]
)
def test_a_name_that_leads_to_the_image_is_its_own(read, name):
    scan = read([annotation()], images=[image(name=name)])
    assert scan.findings == [] and scan.annotations[0].labels.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("..\\..\\media\\a.jpg", "a.jpg"),
        ("C:\\Users\\me\\a.jpg", "a.jpg"),
        ("/data/upload/1/a.jpg", "a.jpg"),
        ("https://host/x/a.jpg?token=b.jpg", "a.jpg"),
        ("/data/local-files/?d=somewhere/a.jpg", "a.jpg"),
        ("A.JPG", "a.jpg"),
        ("two%20words.jpg", "two words.jpg"),
        ("http://host/two%20words.jpg", "two words.jpg"),
        ("caf\u00e9.jpg", "cafe\u0301.jpg"),
        ("images/c.jpg", "below/c.jpg"),
        ("C:\\Users\\me\\Below\\c.jpg", "below/c.jpg"),
    ],
)
def test_the_last_part_of_a_name_counts_and_is_reported(read, tmp_path, name, file):
    write_image(tmp_path / "images" / file)
    scan = read([annotation()], images=[image(name=name)])
    assert scan.errors == [] and [a.image_path for a in scan.annotations] == [tmp_path / "images" / file]
    assert len(scan.of("paired-by-name")) == (0 if (tmp_path / "images" / name).is_file() else 1)


def test_the_last_part_counts_for_nothing_where_it_may_be_another_image(read, tmp_path):
    for name in ("s1/c.jpg", "s2/c.jpg", "../val/d.jpg", "d.jpg"):
        write_image(tmp_path / "images" / name)
    images = [
        image(1, "x/c.jpg"),
        image(2, "val/d.jpg"),
        image(3, "y/a.jpg"),
        image(4, "a.jpg"),
        image(5, "q/S2/C.jpg"),
    ]
    scan = read([annotation()], images=images)
    assert [str(a.image_path.relative_to(tmp_path / "images")) for a in scan.annotations] == ["a.jpg", "s2/c.jpg"]
    assert texts(scan, "orphaned") == [f"all.json: image {name}" for name in ("val/d.jpg", "x/c.jpg", "y/a.jpg")]


def test_the_frame_of_a_camera_that_is_not_there_is_not_taken_from_another(read, tmp_path):
    for name in ("cam1/0001.jpg", "cam1/day/0002.jpg"):
        write_image(tmp_path / "images" / name)
    images = [image(1, "cam2/0001.jpg"), image(2, "C:\\data\\cam2\\day\\0002.jpg"), image(3, "D:\\cam2\\0001.jpg")]
    scan = read([annotation(of=number) for number in (1, 2, 3)], images=images)
    assert scan.annotations == [] and texts(scan, "orphaned") == ["all.json: image cam2/0001.jpg"]
    assert len(texts(scan, "annotation-unreadable")) == 2


def test_one_image_listed_under_two_spellings_is_no_pair(read):
    images = [image(1), image(2, "./a.jpg")]
    scan = read([annotation(), annotation((1, 1, 5, 5), of=2)], images=images)
    assert scan.annotations == [] and len(scan.errors) == 1 and "listed twice" in scan.errors[0].text
