"""Ways to spoil the clean dataset, each with the one finding that it causes."""

import json
import shutil

import cv2
import numpy as np
from PIL import Image

from support.clean_sets import (
    SIZE,
    boxes_of,
    changed_copy,
    copy_pair,
    drawn_image,
    objects_of,
    write_labels,
    write_pair,
    write_yaml,
)
from utils.annotations.findings import ERROR, NOTE, WARNING


def truncated(folder):
    path = folder / "train/a1.jpg"
    path.write_bytes(path.read_bytes()[:2000])


def no_image(folder):
    (folder / "test/b1.jpg").write_text("<html>not found</html>")


def too_thin(folder):
    write_pair(folder / "train", "thin.png", 71, objects=[], size=(2000, 1))


def very_long(folder):
    write_pair(folder / "train", "long.png", 71, objects=[], size=(3600, 300))


def very_small(folder):
    write_pair(folder / "test", "small.png", 71, objects=[], size=(9, 12))


def broken_xml(folder):
    (folder / "train/a2.xml").write_text("<annotation><object><name>Mask</name>")


def misspelt(folder):
    write_labels(folder / "train", "a0", [("mask", boxes_of(0)[0][1]), ("Gloves", boxes_of(0)[1][1])])


def two_of_a_name(folder):
    cv2.imwrite(str(folder / "train/a3.png"), drawn_image(50))


def listed_and_missing(folder):
    (folder / "train.txt").write_text("".join(f"a{n}\n" for n in (0, 1, 2, 3, 4, 5, 77)))
    write_yaml(folder, extra="TRAIN_LIST: train.txt\n")


def empty_validation(folder):
    shutil.rmtree(folder / "test")
    (folder / "test").mkdir()


def nothing_to_train(folder):
    for number in range(6):
        write_labels(folder / "train", f"a{number}", [])


def same_file(folder):
    copy_pair(folder / "train/a4.jpg", folder / "test/b9.jpg")


def brightened(folder):
    changed_copy(
        folder / "train/a4.jpg", folder / "test/b9.jpg", lambda image: cv2.convertScaleAbs(image, None, 0.8, 20)
    )


def mirrored(folder):
    changed_copy(folder / "train/a4.jpg", folder / "test/b9.jpg", lambda image: np.ascontiguousarray(image[:, ::-1]))


def same_twice(folder):
    copy_pair(folder / "train/a4.jpg", folder / "train/a9.jpg")


def resized(folder):
    changed_copy(folder / "train/a4.jpg", folder / "train/a9.png", lambda image: cv2.resize(image, (500, 375)))


def extra_box(*boxes, name="Mask"):
    def spoil(folder):
        write_labels(folder / "train", "a1", [*boxes_of(1), *((name, box) for box in boxes)])

    return spoil


def same_box(name, shift=0):
    def spoil(folder):
        _, (x1, y1, x2, y2) = boxes_of(1)[0]
        write_labels(folder / "train", "a1", [*boxes_of(1), (name, (x1 + shift, y1, x2 + shift, y2))])

    return spoil


def around_everything(folder):
    write_labels(folder / "train", "a1", [("Mask", (2, 2, 399, 299))])


def other_size(folder):
    write_labels(folder / "train", "a1", boxes_of(1), (800, 600))


def unlabelled(folder):
    (folder / "train/a4.xml").unlink()


def orphaned(folder):
    (folder / "train/a4.jpg").unlink()


def upside(folder, orientation=6):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(folder / "train/a1.jpg").save(folder / "train/a1.jpg", exif=exif)


def upside_or_not(folder):
    upside(folder, 3)


def second_box(extra):
    def spoil(folder):
        path = folder / "train/a1.xml"
        start, _, end = path.read_text().rpartition("<bndbox>")
        path.write_text(f"{start}{extra}<bndbox>{end}")

    return spoil


def shares(folder):
    for number in range(6):
        objects = [(name, np.divide(box, (*SIZE, *SIZE))) for name, box in boxes_of(number)]
        write_labels(folder / "train", f"a{number}", objects)


def gloves_become_masks(split, names):
    def spoil(folder):
        for name in names:
            path = folder / split / f"{name}.xml"
            path.write_text(path.read_text().replace("Gloves", "Mask"))

    return spoil


def a_class_more(folder):
    write_yaml(folder, classes="[Mask, Gloves, Goggles]")


def few_gloves(folder):
    write_labels(folder / "test", "b0", objects_of("b0")[1:])


def one_training_image(folder):
    (folder / "train.txt").write_text("a0\n")
    write_yaml(folder, extra="TRAIN_LIST: train.txt\n")


def twelve_bits(folder):
    for number in range(6):
        path = folder / f"train/a{number}.jpg"
        cv2.imwrite(str(path.with_suffix(".png")), cv2.imread(str(path)).astype(np.uint16) * 16)
        path.unlink()


def a_range_for_nothing(folder):
    write_yaml(folder, extra="PIXEL_RANGE: [0, 4095]\n")


def many_masks(folder):
    for number in range(14):
        write_pair(folder / "train", f"c{number}", 202 + 3 * number)


def narrow_boxes(folder):
    objects = [("Mask", (10, 10 + 24 * n, 390, 20 + 24 * n)) for n in range(11)]
    write_labels(folder / "train", "a1", [*boxes_of(1)[1:], *objects])


def crowd(folder):
    for split in ("train", "test"):
        images, objects = [], []
        for path in sorted((folder / split).glob("*.jpg")):
            images.append({"id": len(images), "file_name": path.name, "width": SIZE[0], "height": SIZE[1]})
            for name, (x1, y1, x2, y2) in objects_of(path.stem):
                box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "category_id": 1 if name == "Mask" else 2, "iscrowd": 0}
                objects.append({"id": len(objects), "image_id": images[-1]["id"], **box})
            path.with_suffix(".xml").unlink()
        if split == "train":
            objects.append({**objects[0], "id": len(objects), "iscrowd": 1, "bbox": [5, 5, 300, 200]})
        categories = [{"id": 1, "name": "Mask"}, {"id": 2, "name": "Gloves"}]
        content = {"images": images, "annotations": objects, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(content))
    write_yaml(folder, extra="TRAIN_DIR_LABELS: train.json\nVALID_DIR_LABELS: test.json\n")


def ignored(folder):
    write_labels(folder / "train", "a1", [*boxes_of(1), ("Hat", (20, 200, 90, 280)), ("Hat", (200, 200, 290, 280))])
    write_yaml(folder, extra="IGNORE: [Hat]\n")


def nothing_but_crowds(folder):
    crowd(folder)
    content = json.loads((folder / "train.json").read_text())
    content["annotations"].pop()
    for item in content["annotations"]:
        item["iscrowd"] = int(content["images"][item["image_id"]]["file_name"] == "a0.jpg")
    (folder / "train.json").write_text(json.dumps(content))


def yolo_without_a_file(folder):
    for path in [*folder.glob("train/*.xml"), *folder.glob("test/*.xml")]:
        lines = []
        for name, (x1, y1, x2, y2) in objects_of(path.stem):
            numbers = ((x1 + x2) / 2 / SIZE[0], (y1 + y2) / 2 / SIZE[1], (x2 - x1) / SIZE[0], (y2 - y1) / SIZE[1])
            lines.append(" ".join([str(["Mask", "Gloves"].index(name)), *(f"{v:.6f}" for v in numbers)]))
        path.with_suffix(".txt").write_text("\n".join(lines) + "\n")
        path.unlink()
    (folder / "train/a4.txt").unlink()


def near_name(folder):
    (folder / "train/a4.xml").rename(folder / "train/а4.xml")  # in Cyrillic


def unread_format(folder):
    (folder / "train/a9.heic").write_bytes(b"\0\0\0 ftypheic")
    write_labels(folder / "train", "a9", boxes_of(4))


def labelled_for_yolo(folder):
    write_pair(folder / "train", "a9", 9)
    (folder / "train/a9.xml").unlink()
    (folder / "train/a9.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def a_test_folder_inside(folder):
    write_pair(folder / "train/test", "a9", 9)


def labels_moved_away(folder):
    (folder / "boxes").mkdir()
    for path in folder.glob("test/*.xml"):
        path.rename(folder / "boxes" / path.name)


def yolo_labels_forgotten(folder):
    yolo_without_a_file(folder)
    (folder / "train/a4.txt").write_text((folder / "train/a1.txt").read_text())
    for path in folder.glob("test/*.txt"):
        path.unlink()


def animated(folder):
    frames = [Image.fromarray(drawn_image(seed)[..., ::-1]) for seed in (4, 5)]
    (folder / "train/a4.jpg").unlink()
    frames[0].save(folder / "train/a4.webp", save_all=True, append_images=frames[1:], lossless=True)


def other_case(folder):
    (folder / "train/a4.xml").rename(folder / "train/A4.xml")


def as_yolo(folder):
    yolo_without_a_file(folder)
    numbers = [
        ((x1 + x2) / 800, (y1 + y2) / 600, (x2 - x1) / 400, (y2 - y1) / 300) for _, (x1, y1, x2, y2) in boxes_of(4)
    ]
    (folder / "train/a4.txt").write_text("".join(f"0 {' '.join(map(str, row))}\n" for row in numbers))


def other_numbers(folder):
    as_yolo(folder)
    (folder / "train/classes.txt").write_text("Gloves\nMask\n")


def keypoints(folder):
    as_yolo(folder)
    path = folder / "train/a4.txt"
    path.write_text("".join(f"{line} 0 0 0 0 0 0\n" for line in path.read_text().splitlines()))


def there_twice(folder):
    (folder / "elsewhere" / "train").mkdir(parents=True)


def test_folder_missing(folder):
    write_yaml(folder, extra="TEST_DIR_IMAGES: nowhere\n")


# (how to spoil the clean set, the check, its severity, the split that it is reported with, what its text says)
FAULTS = [
    (truncated, "image-unreadable", ERROR, "train", r"a1\.jpg: damaged image"),
    (no_image, "image-unreadable", ERROR, "val", r"b1\.jpg: cannot be decoded as an image"),
    (too_thin, "image-too-thin", ERROR, "train", r"thin\.png: 2000x1, more than 100 times as long as wide"),
    (very_long, "image-odd", WARNING, "train", r"long\.png: 3600x300, shown to the network as 1066x89 pixels"),
    (very_small, "image-odd", WARNING, "val", r"small\.png: 9x12, stretched to 640x853 pixels at --img-size 640"),
    (broken_xml, "annotation-unreadable", ERROR, "train", r"a2\.xml"),
    (misspelt, "unknown-class", ERROR, "train", r"a0\.xml: object 1: unknown class 'mask' \(did you mean 'Mask'\?\)"),
    (two_of_a_name, "ambiguous-name", ERROR, "train", r"a3"),
    (near_name, "near-name", ERROR, "train", r"a4\.jpg: has no annotation .*U\+0430 \(CYRILLIC SMALL LETTER A\)"),
    (unread_format, "image-format", ERROR, "train", r"a9\.heic: a HEIF image, which is not read: convert it"),
    (labelled_for_yolo, "mixed-formats", ERROR, "train", r"a9\.jpg: has a9\.txt: YOLO text where the others have"),
    (labels_moved_away, "labels-elsewhere", ERROR, "val", r"boxes has 4 XML files .* `VALID_DIR_LABELS: boxes`$"),
    (yolo_labels_forgotten, "no-labels", ERROR, "val", r"expected YOLO's text files of the names of 4 images"),
    (listed_and_missing, "listed-missing", ERROR, "train", r"a77: listed, but"),
    (empty_validation, "no-images", ERROR, "val", r"no usable image for the val split"),
    (nothing_to_train, "no-objects", ERROR, "train", r"not one object to train on"),
    (same_file, "same-in-both", ERROR, "val", r"b9\.jpg is the same file as a4\.jpg in the training split"),
    (brightened, "like-in-both", WARNING, "val", r"b9\.jpg looks like a4\.jpg in the training split \(corr"),
    (mirrored, "like-in-both", WARNING, "val", r"b9\.jpg looks like the mirror image of a4\.jpg"),
    (same_twice, "same-twice", WARNING, "train", r"a4\.jpg, a9\.jpg are one and the same image$"),
    (extra_box((40, 250, 40, 280)), "box-dropped", WARNING, "train", r"a1\.xml: object 3 \(Mask\).* is empty"),
    (nothing_but_crowds, "no-box-left", WARNING, "train", r"a0\.jpg: 2 crowd regions and no box"),
    (shares, "box-layout", ERROR, "train", r"ymax in pixels; 12 of 12 boxes in 6 files .* fit as xmin.* \(0 to 1\)"),
    (upside_or_not, "exif-unclear", WARNING, "train", r"a1\.xml: a1\.jpg .* EXIF orientation 3, and it is not known"),
    (second_box("<rotation>7</rotation>"), "box-rotated", NOTE, "train", r"a1\.xml: object 2 \(Mask\).* by 7 degrees"),
    (second_box("<deleted>1</deleted>"), "deleted", NOTE, "train", r"a1\.xml: 1 objects marked as deleted"),
    (extra_box((200, 230, 500, 290)), "box-clipped", WARNING, "train", r"reaches out of the 400x300 image"),
    (other_size, "size-mismatch", WARNING, "train", r"<size> is 800x600, a1\.jpg is 400x300"),
    (same_box("Mask"), "box-twice", WARNING, "train", r"a1\.jpg: Mask \(.*\) is there twice: Mask \("),
    (same_box("Mask", shift=3), "box-twice", WARNING, "train", r"is there twice"),
    (same_box("Gloves"), "box-two-classes", WARNING, "train", r"a1\.jpg: .* is the same box as "),
    (around_everything, "box-covers-image", WARNING, "train", r"a1\.jpg: Mask \(2, 2, 399, 299\) covers 98% of"),
    (extra_box((200, 280, 201, 290)), "box-tiny", WARNING, "train", r"is 2\.1x21\.\d pixels to the network"),
    (gloves_become_masks("train", ("a0", "a3")), "class-only-val", WARNING, "val", r"Gloves: 20 objects here"),
    (few_gloves, "class-few-val", WARNING, "val", r"Gloves: 19 objects here, expected 20 or more"),
    (one_training_image, "few-images", WARNING, "train", r"^1 image to train on$"),
    (twelve_bits, "pixel-range", WARNING, "train", r"^6 images of more than .* a0\.png: .*`PIXEL_RANGE: \[0, 4095\]`"),
    (a_range_for_nothing, "pixel-range", WARNING, "train", r"PIXEL_RANGE \[0, 4095\] changes nothing"),
    (a_class_more, "class-unused", WARNING, "train", r"Goggles: no object in either split"),
    (many_masks, "class-rare", WARNING, "train", r"Gloves is on 2 images, Mask on 20: --repeat-rare 0\.33 shows"),
    (narrow_boxes, "unreached", WARNING, "train", r"50% of the boxes \(11 of 22\).* and 11 of these are"),
    (a_test_folder_inside, "folder-left-out", WARNING, "train", r"test: 1 images; by its name it is the test split"),
    (unlabelled, "unlabelled", WARNING, "train", r"a4"),
    (orphaned, "orphaned", WARNING, "train", r"a4"),
    (animated, "first-frame", NOTE, "train", r"a4\.webp: the first of 2 frames"),
    (other_case, "paired-by-name", NOTE, "train", r"a4\.jpg with A4\.xml: their names differ in upper and lower case"),
    (upside, "rotated", NOTE, "train", r"EXIF orientation 6"),
    (gloves_become_masks("test", ("b0",)), "class-not-validated", NOTE, "val", r"Gloves: no object here, 2 in the"),
    (resized, "like-within", NOTE, "train", r"a4\.jpg, a9\.png look nearly the same"),
    (other_numbers, "class-numbers", ERROR, "train", r"number 0 is 'Gloves' there and 'Mask' here"),
    (there_twice, "two-places", WARNING, "train", r"^TRAIN_DIR_IMAGES: .*/train, beside the YAML, is used; not"),
    (test_folder_missing, "test-missing", WARNING, "train", r"TEST_DIR_IMAGES: no such folder: nowhere"),
    (keypoints, "row-extras", NOTE, "train", r"2 rows taken for a box and keypoints, such as a4\.txt, line 1"),
    (crowd, "crowd", NOTE, "train", r"a0\.jpg"),
    (ignored, "ignored", NOTE, "train", r"^Hat: 2 objects on 1 image, which stays$"),
    (yolo_without_a_file, "unlisted-negative", NOTE, "train", r"a4\.jpg"),
]  # fmt: skip
