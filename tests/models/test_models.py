"""Models against torchvision's own, and what trained weights keep."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.ops import FrozenBatchNorm2d

from models import create_model, list_models, load_model, model_spec
from models.build import build_model
from models.rcnn.frozen import freeze_batch_norm, freeze_stages
from models.weights.state import with_usual_eps
from models.weights.transfer import transfer
from torch_utils.runs.checkpoint import load_checkpoint, save_checkpoint
from utils.errors import CheckpointError, ConfigError

SMALL = "fasterrcnn_resnet10_fpn_small"
CLASSES = ("__background__", "Mask", "Gloves", "Goggles")


def modules_of(model, kind):
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


def checkpoint_file(path, model, name, classes, **more):
    save_checkpoint(
        path,
        {
            "toolkit": 1,
            "epoch": 3,
            "model_name": name,
            "img_size": 64,
            "config": {"CLASSES": list(classes)},
            "model_state_dict": model.state_dict(),
        }
        | more,
    )
    return load_checkpoint(path)


def detect(model, seed=0):
    images = [torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(seed))]
    with torch.inference_mode():
        return model.eval()(images)[0]


@pytest.fixture(scope="module")
def v2():
    return create_model("fasterrcnn_resnet50_fpn_v2", num_classes=6, pretrained="none")


def test_v2_has_what_makes_it_better(v2):
    assert len(modules_of(v2.backbone.fpn, nn.BatchNorm2d)) == 8  # an inner and a layer block on each of four levels
    assert len(modules_of(v2.rpn.head.conv, nn.Conv2d)) == 2
    box_head = v2.roi_heads.box_head
    assert len(modules_of(box_head, nn.Conv2d)) == len(modules_of(box_head, nn.BatchNorm2d)) == 4
    assert len(modules_of(box_head, nn.Linear)) == 1
    assert not modules_of(v2, FrozenBatchNorm2d)


def test_v1_has_none_of_it(tmp_path):
    backbone = build_model(model_spec("fasterrcnn_resnet50_fpn"), 2).backbone.body
    torch.save(backbone.state_dict(), tmp_path / "resnet50.pth")
    v1 = create_model("fasterrcnn_resnet50_fpn", num_classes=6, backbone_weights=tmp_path / "resnet50.pth")
    assert not modules_of(v1.backbone.fpn, nn.BatchNorm2d)
    assert len(modules_of(v1.rpn.head.conv, nn.Conv2d)) == 1
    assert not modules_of(v1.roi_heads.box_head, nn.Conv2d)
    assert len(modules_of(v1.roi_heads.box_head, nn.Linear)) == 2
    assert len(modules_of(v1, FrozenBatchNorm2d)) == 53
    assert not modules_of(v1, nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("name", "builder", "coco_parameters"),
    [
        ("fasterrcnn_resnet50_fpn", detection.fasterrcnn_resnet50_fpn, 41_755_286),
        ("fasterrcnn_resnet50_fpn_v2", detection.fasterrcnn_resnet50_fpn_v2, 43_712_278),
        ("fasterrcnn_mobilenet_v3_large_fpn", detection.fasterrcnn_mobilenet_v3_large_fpn, 19_386_354),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", detection.fasterrcnn_mobilenet_v3_large_320_fpn, 19_386_354),
    ],
)
def test_models_are_torchvisions(name, builder, coco_parameters):
    """Same state dict, strict, and the parameter count that torchvision publishes for its COCO model."""
    model = create_model(name, num_classes=91)
    reference = builder(weights=None, weights_backbone=None, num_classes=91)
    model.load_state_dict(reference.state_dict(), strict=True)
    counted = sum(p.numel() for p in model.parameters())
    frozen_in_published = 0  # torchvision counts parameters after freezing batch norm into buffers
    if model_spec(name).frozen_bn:
        frozen_in_published = sum(
            p.numel() for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()
        )
    assert counted - frozen_in_published == coco_parameters
    assert model_spec(name).coco.meta["num_params"] == coco_parameters


def test_detections_equal_torchvisions_own():
    torch.manual_seed(0)
    reference = detection.fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=6, min_size=128)
    reference.roi_heads.score_thresh = 0.0
    model = create_model("fasterrcnn_resnet50_fpn_v2", num_classes=6, img_size=128)
    model.load_state_dict(reference.state_dict())
    model.roi_heads.score_thresh = 0.0
    mine, theirs = detect(model), detect(reference)
    assert len(theirs["boxes"]) > 10
    assert torch.allclose(mine["boxes"], theirs["boxes"], atol=1e-3)
    assert torch.equal(mine["labels"], theirs["labels"])
    assert torch.allclose(mine["scores"], theirs["scores"], atol=1e-6)


@pytest.mark.parametrize("name", [n for n in list_models() if "152" not in n])
def test_every_model_trains_a_step_and_detects(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3, img_size=64)
    target = {"boxes": torch.tensor([[10.0, 10, 50, 40]]), "labels": torch.tensor([2])}
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    losses = model([torch.rand(3, 64, 80), torch.rand(3, 80, 64)], [target, empty])
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    assert model.roi_heads.box_predictor.cls_score.weight.grad.abs().sum() > 0
    assert detect(model)["boxes"].shape[1] == 4


def test_img_size_is_the_short_side_and_bounds_the_long_one():
    model = create_model(SMALL, num_classes=2, img_size=480)
    assert model.transform.min_size == (480,)
    assert model.transform.max_size == 800  # 480 * 1333 / 800
    assert create_model(SMALL, num_classes=2).transform.min_size == (320,)
    assert create_model("fasterrcnn_resnet18_fpn", num_classes=2).transform.min_size == (640,)


def test_boxes_are_float32_under_bfloat16_autocast():
    model = create_model(SMALL, num_classes=2, img_size=64)
    seen = []
    model.roi_heads.register_forward_pre_hook(lambda module, inputs: seen.extend(inputs[1]))
    model.roi_heads.score_thresh = 0.0
    with torch.autocast("cpu", torch.bfloat16):
        found = detect(model)
    assert {proposals.dtype for proposals in seen} == {torch.float32}
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32


def test_anchors_are_whole_pixels_under_bfloat16_autocast():
    """bfloat16 has 8 bits of mantissa: past 256 it knows even pixels only, past 512 every fourth."""
    model = create_model(SMALL, num_classes=2, img_size=640).eval()
    seen = {}
    for amp in (False, True):
        model.rpn.anchor_generator.register_forward_hook(lambda m, i, out, amp=amp: seen.update({amp: out[0]}))
        with torch.autocast("cpu", torch.bfloat16, enabled=amp), torch.inference_mode():
            model([torch.rand(3, 640, 1000)])
    assert seen[True].dtype == torch.float32 and torch.equal(seen[True], seen[False])


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConfigError, match=r"Did you mean 'fasterrcnn_resnet50_fpn_v2'\?.*fasterrcnn_resnet152_fpn"):
        create_model("fasterrcnn_resnet50_fpnv2", num_classes=2)
    with pytest.raises(ConfigError, match="2 or more"):
        create_model(SMALL, num_classes=1)
    with pytest.raises(ConfigError, match="no COCO weights"):
        create_model("fasterrcnn_resnet18_fpn", num_classes=2, pretrained="coco")


def test_weights_that_cannot_be_fetched_say_which_where_and_what_else(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(CheckpointError) as caught:
        create_model("fasterrcnn_resnet50_fpn_v2", num_classes=6, pretrained="coco")
    message = str(caught.value)
    assert "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth" in message
    assert str(tmp_path / "hub" / "checkpoints") in message
    assert "--pretrained none" in message


def test_coco_weights_come_from_torchvisions_cache_whole_but_for_the_class_layers(monkeypatch, tmp_path):
    """A file under the name that torchvision looks for; only its hash, which no other file can have, is not checked."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(1)
    published = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=91)
    place = tmp_path / "hub" / "checkpoints" / "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    place.parent.mkdir(parents=True)
    torch.save(published.state_dict(), place)
    model = create_model("fasterrcnn_mobilenet_v3_large_320_fpn", num_classes=6, pretrained="coco")
    for key, value in model.state_dict().items():
        if key.startswith("roi_heads.box_predictor"):
            assert value.shape[0] in (6, 24)
        else:
            assert torch.equal(value, published.state_dict()[key]), key
    assert modules_of(model, FrozenBatchNorm2d)


def test_v1_coco_weights_keep_their_epsilon_of_zero():
    """The published v1 weights want epsilon 0, which torchvision sets after loading; here the weights are restated."""
    torch.manual_seed(2)
    state = {"backbone.body.bn1.weight": torch.rand(64), "backbone.body.bn1.running_var": torch.rand(64) ** 8 + 1e-9}
    fixed = with_usual_eps(state, 0.0)
    theirs = FrozenBatchNorm2d(64, eps=0.0)
    mine = FrozenBatchNorm2d(64)
    for norm, source in ((theirs, state), (mine, fixed)):
        norm.weight.copy_(source["backbone.body.bn1.weight"])
        norm.running_var.copy_(source["backbone.body.bn1.running_var"])
    x = torch.rand(1, 64, 4, 4)
    assert torch.allclose(mine(x), theirs(x), rtol=1e-5)
    assert not torch.allclose(theirs(x), FrozenBatchNorm2d(64)(x) * state["backbone.body.bn1.weight"].view(1, -1, 1, 1))


def test_imagenet_style_file_goes_into_the_backbone(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(3)
    classifier = resnet18()
    torch.save(classifier.state_dict(), tmp_path / "resnet18.pth")
    model = create_model("fasterrcnn_resnet18_fpn", num_classes=3, backbone_weights=tmp_path / "resnet18.pth")
    assert torch.equal(model.backbone.body.layer4[1].conv2.weight, classifier.layer4[1].conv2.weight)
    assert len(modules_of(model.backbone.body, FrozenBatchNorm2d)) == 20
    with pytest.raises(CheckpointError, match=r"resnet18\.pth does not fit.*\n  missing layer"):
        create_model("fasterrcnn_resnet34_fpn", num_classes=3, backbone_weights=tmp_path / "resnet18.pth")


def test_freezing_stages_and_batch_norm():
    model = create_model("fasterrcnn_resnet18_fpn", num_classes=3)
    before = detect(model)
    assert freeze_stages(model, 2) == ["conv1", "bn1", "layer1"]
    body = model.backbone.body
    assert isinstance(body.bn1, FrozenBatchNorm2d) and isinstance(body.layer1[0].bn1, FrozenBatchNorm2d)
    assert isinstance(body.layer2[0].bn1, nn.BatchNorm2d)
    assert not any(p.requires_grad for name in ("conv1", "layer1") for p in body.get_submodule(name).parameters())
    assert all(p.requires_grad for p in body.layer2.parameters())
    freeze_batch_norm(model)
    assert not modules_of(model, nn.BatchNorm2d)
    assert torch.allclose(detect(model)["boxes"], before["boxes"])
    with pytest.raises(ConfigError, match="0 to 5"):
        freeze_stages(model, 6)
    mobile = create_model("fasterrcnn_mobilenet_v3_large_fpn", num_classes=3)
    reference = detection.fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None, num_classes=3)
    extractor = detection.backbone_utils._mobilenet_extractor
    from torchvision.models import mobilenet_v3_large

    for trainable in range(7):
        mobile = create_model("fasterrcnn_mobilenet_v3_large_fpn", num_classes=3)
        freeze_stages(mobile, 6 - trainable)
        reference = extractor(mobilenet_v3_large(norm_layer=FrozenBatchNorm2d), True, trainable)
        fixed = {n for n, p in reference.body.named_parameters() if not p.requires_grad}
        mine = {n for n, p in mobile.backbone.body.named_parameters() if not p.requires_grad}
        assert mine == fixed


def test_a_checkpoint_rebuilds_its_model_with_frozen_norms(tmp_path):
    torch.manual_seed(4)
    model = create_model(SMALL, num_classes=4, img_size=64)
    freeze_stages(model, 1)
    model.roi_heads.score_thresh = 0.0
    checkpoint_file(tmp_path / "m.pth", model, SMALL, CLASSES)
    again = load_model(tmp_path / "m.pth")
    again.roi_heads.score_thresh = 0.0
    assert again.img_size == 64 and not again.training
    assert modules_of(again, FrozenBatchNorm2d) == ["backbone.body.bn1"]
    assert torch.equal(detect(again)["boxes"], detect(model)["boxes"])


def test_same_classes_in_another_order_keep_their_layers(tmp_path):
    torch.manual_seed(5)
    old = create_model(SMALL, num_classes=4, img_size=64)
    start = checkpoint_file(tmp_path / "m.pth", old, SMALL, CLASSES)
    new_order = ("__background__", "Goggles", "Mask", "Gloves")
    new = create_model(SMALL, num_classes=4, img_size=64)
    kept = transfer(new, model_spec(SMALL), start, new_order)
    assert (kept.kept_classes, kept.new_classes, kept.new) == (["Goggles", "Mask", "Gloves"], [], [])
    features = torch.rand(5, 256)
    (old_scores, old_boxes), (new_scores, new_boxes) = (m.roi_heads.box_predictor(features) for m in (old, new))
    rows = [CLASSES.index(name) for name in new_order]
    assert torch.equal(new_scores, old_scores[:, rows])
    assert torch.equal(new_boxes.view(5, 4, 4), old_boxes.view(5, 4, 4)[:, rows])


def test_other_classes_keep_all_that_fits(tmp_path):
    old = create_model(SMALL, num_classes=4, img_size=64)
    start = checkpoint_file(tmp_path / "m.pth", old, SMALL, CLASSES)
    new = create_model(SMALL, num_classes=3, img_size=64)
    fresh = new.roi_heads.box_predictor.cls_score.weight.clone()
    kept = transfer(new, model_spec(SMALL), start, ("__background__", "Helmet", "Gloves"))
    assert (kept.kept_classes, kept.new_classes, kept.new) == (["Gloves"], ["Helmet"], [])
    predictor, source = new.roi_heads.box_predictor, old.roi_heads.box_predictor
    assert torch.equal(predictor.cls_score.weight[2], source.cls_score.weight[2])
    assert torch.equal(predictor.bbox_pred.weight[8:12], source.bbox_pred.weight[8:12])
    assert torch.equal(predictor.cls_score.weight[1], fresh[1])
    assert torch.equal(new.backbone.body.conv1.weight, old.backbone.body.conv1.weight)
    other = create_model(SMALL, num_classes=2, img_size=64)
    kept = transfer(other, model_spec(SMALL), start, ("__background__", "Helmet"))
    assert kept.kept_classes == [] and kept.new_classes == ["Helmet"]
    with pytest.raises(CheckpointError, match="tensors fit this model"):
        transfer(
            create_model("fasterrcnn_resnet50_fpn_v2", num_classes=2),
            model_spec("fasterrcnn_resnet50_fpn_v2"),
            start,
            ("__background__", "Helmet"),
        )


def test_files_of_the_older_pipeline_load(tmp_path, v2):
    """`config` or `data`, `module.` prefixes, no image size."""
    state = OrderedDict((f"module.{k}", v) for k, v in v2.state_dict().items())
    content = {"epoch": 7, "model_state_dict": state, "model_name": "fasterrcnn_resnet50_fpn_v2"}
    classes = ["__background__", "Mask", "Face_Shield", "Coverall", "Gloves", "Goggles"]
    torch.save(content | {"data": {"CLASSES": classes, "NC": 6}}, tmp_path / "best_model.pth")
    checkpoint = load_checkpoint(tmp_path / "best_model.pth")
    assert checkpoint.class_names == tuple(classes) and checkpoint.foreign and checkpoint.img_size == 800
    model = load_model(checkpoint)
    assert torch.equal(model.state_dict()["rpn.head.conv.1.0.weight"], v2.state_dict()["rpn.head.conv.1.0.weight"])


def test_the_published_detector_has_cocos_classes(monkeypatch, tmp_path):
    from models.predictors import load_predictor

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(1)
    published = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=91)
    place = tmp_path / "hub" / "checkpoints" / "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    place.parent.mkdir(parents=True)
    torch.save(published.state_dict(), place)
    predictor, names = load_predictor(
        None, torch.device("cpu"), model_name="fasterrcnn_mobilenet_v3_large_320_fpn", threshold=0.01
    )
    assert len(names) == 91 and names[:2] == ("__background__", "person") and names[90] == "toothbrush"
    assert predictor.model.roi_heads.score_thresh == 0.01
    key = "roi_heads.box_predictor.cls_score.weight"
    assert torch.equal(predictor.model.state_dict()[key], published.state_dict()[key])
    with pytest.raises(ConfigError, match="give --weights"):
        load_predictor(None, torch.device("cpu"), model_name=SMALL)


def test_a_checkpoint_alone_makes_a_predictor(tmp_path):
    from models.predictors import load_predictor

    model = create_model(SMALL, num_classes=4, img_size=64)
    checkpoint_file(tmp_path / "m.pth", model, SMALL, CLASSES)
    predictor, names = load_predictor(tmp_path / "m.pth", torch.device("cpu"))
    assert names == CLASSES and predictor.model.img_size == 64 and not predictor.model.training
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    with pytest.raises(CheckpointError, match="pass --model"):
        load_predictor(tmp_path / "bare.pth", torch.device("cpu"), config=None)
    (tmp_path / "d.yaml").write_text("CLASSES: [Mask, Gloves, Goggles]\n")
    _, names = load_predictor(tmp_path / "bare.pth", torch.device("cpu"), model_name=SMALL, config=tmp_path / "d.yaml")
    assert names == CLASSES
    (tmp_path / "d.yaml").write_text("CLASSES: [Mask]\n")
    with pytest.raises(ConfigError, match="4 classes with background"):
        load_predictor(tmp_path / "bare.pth", torch.device("cpu"), model_name=SMALL, config=tmp_path / "d.yaml")
