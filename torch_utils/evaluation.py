"""Evaluates a model on a split: its detections, its metrics and its loss."""

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from torch_utils.distributed import Group
from torch_utils.predictor import Predictor, to_float
from torch_utils.prefetch import prefetch
from utils.coco_eval import CocoEvaluator
from utils.detections import Detections

SAMPLER_SEED = (0,)  # of anchors and proposals: the same in every epoch of every run, so that losses can be compared


def evaluate(
    predictor: Predictor,
    batches: Iterable,
    evaluator: CocoEvaluator,
    *,
    bar=None,
    group: Group | None = None,
    between_batches: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Detect on every image of `batches`, then compare; returns COCO's metrics and the losses, `loss`, `loss_...`.

    Of several processes each takes its part of the batches; `evaluator` has all detections in the first one, and the
    result is the same in each, whatever their number. `bar`, such as tqdm, counts a batch with `update`;
    `between_batches` is called after each batch, in every process equally often.
    """
    group = group or Group(predictor.device)
    group.broadcast_buffers(predictor.model)
    found, losses = [], []
    rounds = max(group.gather(len(batches)))
    remaining = prefetch(batches, predictor.device)
    for _ in range(rounds):
        batch = next(remaining, None)
        if batch:
            ids = [int(target["image_id"]) for target in batch.host]
            for sampler in predictor.model.samplers:
                sampler.key, sampler.first = SAMPLER_SEED, ids
            detections, batch_losses = detect_with_losses(predictor, batch.images, batch.targets)
            found += zip(ids, detections, strict=True)
            losses.append((ids[0], len(ids), batch_losses))
        if bar is not None:
            bar.update()
        if between_batches:
            between_batches()
    host = [(first, count, {name: float(loss) for name, loss in part.items()}) for first, count, part in losses]
    result = None
    parts = group.gather((found, host))
    if group.is_main:
        for image_id, detections in (pair for part, _ in parts for pair in part):
            evaluator.add(image_id, detections)
        result = evaluator.compute() | _mean_losses(sorted((row for _, rows in parts for row in rows), key=_first))
    return group.broadcast(result)


def _first(row: tuple) -> int:
    return row[0]


def _mean_losses(rows: Sequence[tuple[int, int, dict[str, float]]]) -> dict[str, float]:
    """Return means over the images, added up in the order of the images, and their sum."""
    images = sum(count for _, count, _ in rows)
    names = rows[0][2]
    means = {name: sum(count * losses[name] for _, count, losses in rows) / images for name in names}
    return {"loss": sum(means.values())} | means


@torch.inference_mode()
def detect_with_losses(
    predictor: Predictor, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]
) -> tuple[list[Detections], dict[str, Tensor]]:
    """Return what `Predictor.predict` finds, and the four training losses, from one pass through the backbone."""
    model, device = predictor.model.eval(), predictor.device
    batch = [to_float(image, device) for image in images]
    with torch.autocast(device.type, predictor.amp_dtype, enabled=predictor.amp_dtype is not None):
        outputs, losses = model.detect_with_losses(batch, list(targets))
    return Predictor.to_detections(outputs), losses


def detect_all(predictor: Callable, batches: Iterable, *, bar=None) -> list[Detections]:
    """Detect on every image of `batches`; returns the detections by the images' positions in the dataset.

    `predictor` is one of `Predictor` or `SlicedPredictor`. Raises the ToolkitError that a loader's worker gives in
    place of a batch.
    """
    found: dict[int, Detections] = {}
    for batch in prefetch(batches, torch.device("cpu")):
        images = [image.permute(1, 2, 0).numpy() for image in batch.images]
        ids = [int(target["image_id"]) for target in batch.host]
        found |= zip(ids, predictor(images), strict=True)
        if bar is not None:
            bar.update(len(ids))
    return [found[index] for index in range(len(found))]


def time_images(predictor: Callable, images: Iterable, *, seconds: float = 10.0, least: int = 5) -> list[float]:
    """Measure the seconds that each image takes by itself, from the decoded image to its detections.

    One is for warming up. It ends after `seconds`, but not before `least` images, and with the last image.
    """
    times: list[float] = []
    for number, image in enumerate(images):
        started = time.perf_counter()
        predictor([image])  # the detections are on the host when it returns: nothing is still running
        if number:
            times.append(time.perf_counter() - started)
        if len(times) >= least and sum(times) > seconds:
            break
    return times
