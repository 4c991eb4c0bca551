"""A process of a group: `torchrun evaluate_in_group.py FOLDER CHECKPOINT` writes the metrics of the val split."""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasets import DetectionDataset, build_loader
from models import load_model
from torch_utils.distributed import join_group
from torch_utils.evaluation import evaluate
from torch_utils.predictor import Predictor
from utils.coco_eval import CocoEvaluator
from utils.config.config import load_config
from utils.dataset.scan import scan_split

folder, checkpoint = map(Path, sys.argv[1:])
group = join_group(torch.device("cpu"))
config = load_config(folder / "shapes.yaml")
scan = scan_split(config, "val", progress=False)
data = DetectionDataset(scan.annotations, img_size=96, training=False)
loader = build_loader(data, batch_size=2, workers=0, rank=group.rank, size=group.size)
model = load_model(checkpoint)
model.roi_heads.score_thresh = 0.0  # many detections, to have many to count
evaluator = CocoEvaluator(scan.annotations, config.class_names)
metrics = evaluate(Predictor(model, group.device), loader, evaluator, group=group)
every = group.gather(metrics)
assert all(other == metrics for other in every)
if group.is_main:
    counts = [len(evaluator.detections[i]) for i in range(len(scan.annotations))]
    (folder / f"metrics_{group.size}.json").write_text(json.dumps({"metrics": metrics, "detections": counts}))
group.close()
