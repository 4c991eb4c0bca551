"""The weights of a checkpoint, in the model that they were saved from."""

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from models.rcnn.frozen import freeze_batch_norm
from models.registry import ModelSpec
from models.weights.state import StateDict, at_usual_eps, frozen_norms, load_strictly
from torch_utils.runs.checkpoint import Checkpoint, training_arguments_of
from utils.runs.note import note


def load_whole(model: SyncFreeFasterRCNN, spec: ModelSpec, checkpoint: Checkpoint) -> None:
    """Load a checkpoint into the very model that it was saved from, frozen batch norms included."""
    state: StateDict = checkpoint.state_dict
    frozen = frozen_norms(model, state)
    freeze_batch_norm(model, only=frozen)
    if frozen:
        state = as_trained(spec, checkpoint)
    load_strictly(model, state, new=None, source=str(checkpoint.path))


def as_trained(spec: ModelSpec, checkpoint: Checkpoint) -> StateDict:
    """Return the state dict with its frozen batch norms restated for epsilon 1e-5, where they were trained at another.

    torchvision builds version 1 with epsilon 0 where it starts from the published detector, and with 1e-5 where it
    starts from a classifier. The weights do not tell which it was; the arguments that its reference training keeps do.
    """
    if not checkpoint.foreign or spec.coco_bn_eps == 1e-5:
        return checkpoint.state_dict
    begun = training_arguments_of(checkpoint)
    started = begun.get("weights", begun.get("pretrained"))
    if begun and not started and ("weights" in begun or "pretrained" in begun):
        note(f"{checkpoint.path}: batch norms read with epsilon 1e-5: its arguments say it began with no detector")
        return checkpoint.state_dict
    why = (
        f"its arguments say that it began with {started}"
        if started
        else "taken as begun with torchvision's COCO weights; if it began with ImageNet's, epsilon was 1e-5 and its "
        "scores come out slightly different here"
    )
    note(f"{checkpoint.path}: batch norms read with epsilon {spec.coco_bn_eps:g}: {why}")
    return at_usual_eps(spec, checkpoint.state_dict)
