"""A dataset of one image, whose XML each test writes."""

import pytest

from support.voc_files import CLASSES, write_image


@pytest.fixture
def path(tmp_path):
    """Return the path of the XML of a.png, which is 40x30 and in a dataset's folder for validation."""
    write_image(tmp_path / "valid" / "a.png")
    (tmp_path / "train").mkdir()
    (tmp_path / "set.yaml").write_text(
        f"TRAIN_DIR_IMAGES: {tmp_path / 'train'}\nVALID_DIR_IMAGES: {tmp_path / 'valid'}\nFORMAT: voc\n"
        f"CLASSES: [{', '.join(CLASSES[1:])}]\n"
    )
    return tmp_path / "valid" / "a.xml"
