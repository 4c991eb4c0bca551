"""Named sets of defaults for train.py; whatever is given on the command line wins.

`lr_per_image` times the batch, at most `lr_most`, is the learning rate of SGD where `--lr` is not given. `lr_steps` are
the shares of the run after which `--schedule multistep` divides the rate by ten.
"""

from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    # For a few hundred images of one's own and weights that were trained on COCO or ImageNet.
    "finetune": {
        "epochs": 10,
        "img_size": None,
        "pretrained": None,
        "augment": ["mosaic"],
        "lr_per_image": 0.0025,
        "lr_most": 0.02,
        "warmup_steps": 500,
        "lr_steps": [0.7, 0.9],
        "momentum": "nesterov",
        "weight_decay": None,
        "decay_norms": False,
        "clip_norm": 10.0,
        "sync_bn": False,
    },
    # torchvision's references as they were run for version 2: pytorch/vision pull request 5763 (400 epochs, lr 0.1 for
    # 64 images, steps 352 and 384). The bound of a tenth of the run on the warm-up is ours: there it changes nothing.
    "v2-paper": {
        "epochs": 400,
        "img_size": 800,
        "pretrained": "imagenet",
        "augment": ["lsj"],
        "lr_per_image": 0.1 / 64,
        "lr_most": None,
        "warmup_steps": 1000,
        "lr_steps": [352 / 400, 384 / 400],
        "momentum": "plain",
        "weight_decay": 4e-5,
        "decay_norms": True,
        "clip_norm": None,
        "sync_bn": True,
    },
}
