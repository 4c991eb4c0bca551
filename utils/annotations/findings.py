"""The findings that a dataset may have: every check by name, how grave it is, and what to do about it."""

from dataclasses import dataclass
from pathlib import Path

from utils.errors import printable

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Check:
    """`of_a_file` are errors of one file, which can be left out of the training."""

    title: str
    severity: str
    remedy: str
    of_a_file: bool = False


@dataclass(frozen=True)
class Finding:
    """One fault that a check found.

    Args:
        check: a key of `CHECKS`.
        text: names the file and the object, what was expected and what was found.
        subject: what findings with one cause have in common, such as the spelling of an unknown class.
        image: the image to look at, if there is one.
        boxes: the objects in question in it, each (x1, y1, x2, y2) in pixels of the upright image, perhaps outside.
        other: a second image that belongs to it, such as the copy of `image`.
        meant: an unknown class name and the known one that it surely means.
    """

    check: str
    text: str
    subject: str = ""
    image: Path | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    other: Path | None = None
    meant: tuple[str, str] | None = None

    def __post_init__(self):
        object.__setattr__(self, "text", printable(self.text))  # it holds names from files, and goes to terminals

    @property
    def severity(self) -> str:
        return CHECKS[self.check].severity


# In the order in which they are reported: those that stop a training first. A row's remedy is whole sentences.
CHECKS = {
    "image-unreadable": Check(
        "images that cannot be read", ERROR, "Take the image from its source again, or remove it with its annotation.",
        of_a_file=True,
    ),
    "image-too-thin": Check(
        "images too thin for the network", ERROR,
        "Cut the image into parts no longer than a few times their width: with its long side made to fit, next to "
        "nothing is left of the short one.",
        of_a_file=True,
    ),
    "annotation-unreadable": Check(
        "annotations that cannot be read", ERROR, "Open and save the file in the tool that wrote it, or label it anew.",
        of_a_file=True,
    ),
    "unknown-class": Check(
        "classes that CLASSES does not have", ERROR,
        "Spell them alike in CLASSES and in the annotations, case included; or say in RENAME which class they mean; "
        "or add them to CLASSES; or leave their objects out: IGNORE.",
        of_a_file=True,
    ),
    "ambiguous-name": Check(
        "names that several files share", ERROR, "Keep one image and one annotation file of each name.",
        of_a_file=True,
    ),
    "near-name": Check(
        "images whose annotation has nearly the same name", ERROR,
        "Give both files the same name: look-alike letters, spaces and underscores count.", of_a_file=True,
    ),
    "image-format": Check(
        "images of a format that is not read", ERROR,
        "Convert them, keeping their size in pixels, under the same name.", of_a_file=True,
    ),
    "mixed-formats": Check(
        "images annotated in another format than the rest", ERROR,
        "Keep each format in a folder of its own, and bring them into one with python convert_dataset.py.",
        of_a_file=True,
    ),
    "labels-elsewhere": Check(
        "annotations in a folder that the YAML does not name", ERROR, "Change the YAML as it says."
    ),
    "no-labels": Check(
        "splits without a label file", ERROR,
        "Name the folder of the labels; where the images really show no object, save an empty label file for one.",
    ),
    "listed-missing": Check(
        "listed, but not there", ERROR, "Add the files, or take the lines out of the list.", of_a_file=True
    ),
    "class-numbers": Check(
        "class numbers of which two files say different things", ERROR,
        "Each label would be taught as another class. Put CLASSES in the order that the labels were written with, or "
        "correct or remove the list that is wrong.",
    ),
    "no-images": Check("splits without a usable image", ERROR, "Look at the folders that the YAML names."),
    "box-layout": Check(
        "splits whose boxes are not written as their format has them", ERROR,
        "Nothing of this split can be used as it stands. Export the annotations again, or convert their boxes.",
    ),
    "no-objects": Check("training splits without an object", ERROR, "Look at the folders that the YAML names."),
    # This one stops no training, but the score of one is false.
    "same-in-both": Check(
        "images of two splits", ERROR,
        "Take them out of one: an image that was trained on is no test. With SPLIT, --split-groups keeps names "
        "together, and copies can be removed.",
    ),
    "like-in-both": Check(
        "nearly the same images in two splits", WARNING,
        "Where they show one scene, the score is too good: keep the frames of a video, and all versions of an image, "
        "in one split. With SPLIT, --split-groups does it by their names.",
    ),
    "same-twice": Check(
        "images that one split has several times", WARNING,
        "Keep one, with all its objects: what one copy's annotation lacks is taught as background.",
    ),
    "box-dropped": Check(
        "boxes dropped", WARNING, "Draw them again or delete them: a box without area inside the image teaches nothing."
    ),
    "no-box-left": Check(
        "images left out, because none of their boxes can be used", WARNING,
        "Draw the boxes again: the image shows objects, and would teach that it shows none. Where there are none, save "
        "its annotation without objects.",
    ),
    "box-clipped": Check(
        "boxes clipped to the image", WARNING,
        "The part inside is used. Where they are far out, the image was resized after it was labelled.",
    ),
    "size-mismatch": Check(
        "files whose <size> is not the image's", WARNING,
        "The boxes are used as they stand. If the image was resized after it was labelled, they are wrong.",
    ),
    "image-odd": Check(
        "images that are very long or very small", WARNING,
        "Cut long ones into parts, for training and with inference.py --slice: the network sees them shrunk. Take "
        "small ones from a larger source: stretched, they show little.",
    ),
    "box-twice": Check(
        "boxes that are there twice", WARNING,
        "Delete one of each: a detector answers with one box, and the other counts as missed.",
    ),
    "box-two-classes": Check(
        "boxes of two classes", WARNING,
        "Keep the class that is right, or make one class of the two: at one place, a higher score of one is a lower "
        "score of the other.",
    ),
    "box-covers-image": Check(
        "boxes around the whole image", WARNING,
        "Nothing, where it is a close-up. Otherwise draw them around the objects.",
    ),
    "box-tiny": Check(
        "boxes too small to be seen", WARNING,
        "Delete what a slip of the mouse left. What is an object needs a larger --img-size, or the image cut into "
        "tiles.",
    ),
    "class-only-val": Check(
        "classes to validate that are not trained", WARNING,
        "Add training images that show them, or divide the images anew: --split.",
    ),
    "few-images": Check(
        "splits of one or two images", WARNING,
        "Add images: from so few, nothing that holds for others is learned, and no score says how good it is.",
    ),
    "class-few-val": Check(
        "classes with few objects to validate on", WARNING,
        "Add validation images that show them, or divide anew: --split with a larger share. Until then, take their AP "
        "for a rough one: training shows it in two digits, with a ~.",
    ),
    "pixel-range": Check(
        "values of images of more than eight bits", WARNING,
        "Say in PIXEL_RANGE which values are to be black and white; the checkpoint keeps it for inference.",
    ),
    "class-unused": Check(
        "classes without an object", WARNING, "Take them out of CLASSES, or see how the annotations spell them."
    ),
    "class-rare": Check(
        "rare classes", WARNING, "Label more images that show them; until then, --repeat-rare shows these more often."
    ),
    "unreached": Check(
        "boxes that no anchor overlaps by half (IoU 0.5)", WARNING,
        "Such objects are learned late or never. Train and run at an --img-size that fits them; where they are "
        "small and none does, cut the images into tiles, for training and with inference.py --slice. Slim ones stay "
        "hard.",
    ),
    "unlabelled": Check(
        "images left out, because they have no annotation file", WARNING,
        "Label them, or save an empty annotation for what shows no object: such images are trained on as negatives.",
    ),
    "folder-left-out": Check(
        "folders that were left out", WARNING,
        "Name the folder in the YAML, or move it, where its images are part of the split.",
    ),
    "two-places": Check(
        "paths that are there twice", WARNING,
        "Name the folder that you mean by its whole path, or by one that is there once.",
    ),
    "test-missing": Check(
        "test splits that cannot be found", WARNING,
        "Correct the path, where there is one to evaluate on; training does without.",
    ),
    "orphaned": Check(
        "annotation files left out, because they have no image", WARNING, "Add the images, or remove the files."
    ),
    "exif-unclear": Check(
        "images turned by EXIF whose boxes may be drawn on another side", WARNING,
        "Look at the boxes in the report. If they lie beside the objects, the annotation tool ignored EXIF: label with "
        "images that were turned for good, such as by exiftran or ImageMagick's -auto-orient.",
    ),
    "rotated": Check(
        "files whose boxes were turned with the image", NOTE,
        "Nothing: they were drawn on the unrotated image, and fit the upright one now.",
    ),
    "box-rotated": Check(
        "boxes drawn at an angle", NOTE,
        "Nothing: the upright box around them is used. It holds more background than the object's own box would.",
    ),
    "deleted": Check(
        "objects left out because they are marked as deleted", NOTE, "Nothing: the annotation tool hides them, too."
    ),
    "class-not-validated": Check(
        "classes that are not validated", NOTE, "Add validation images that show them: AP says nothing of them so far."
    ),
    "like-within": Check(
        "nearly the same images in one split", NOTE,
        "Nothing, where they are frames of a video or copies made on purpose: they teach little that is new.",
    ),
    "paired-by-name": Check(
        "images paired with an annotation of another spelling or folder", NOTE,
        "Nothing, where they belong together; equal names leave no doubt.",
    ),
    "row-extras": Check(
        "YOLO rows with more than a box", NOTE,
        "Nothing, where a box comes first in them: it is used. KPT_SHAPE in the YAML says what rows are. A score shows "
        "of a detector's work: look its boxes over before they are learned from.",
    ),
    "first-frame": Check(
        "images of several frames, of which the first is used", NOTE,
        "Nothing, where the boxes were drawn on the first; otherwise save the frame in question as an image.",
    ),
    "crowd": Check("crowd regions left out", NOTE, "Nothing, or a box for each object in them."),
    "ignored": Check(
        "classes that IGNORE leaves out", NOTE,
        "Nothing. Their objects are background to the model, on images that stay.",
    ),
    "unlisted-negative": Check(
        "images without a label file, taken as without objects", NOTE,
        "Nothing, if they show no object: that is how YOLO marks them.",
    ),
}  # fmt: skip
