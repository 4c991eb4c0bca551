"""`--compile`: the parts of a detector that torch.compile makes faster."""

import os
import shutil

import torch
from torch import nn
from torch.utils._triton import has_triton

from utils.errors import ConfigError


def compile_parts(model: nn.Module, log) -> None:
    """Compile backbone and box head, in place; names in the state dict stay the same.

    The rest of a detector is lists of boxes whose lengths change with every image. Compilation happens at the first
    step and at the first detection. Raises ConfigError where the compiler that torch.compile needs is not there.
    """
    on_gpu = next(model.parameters()).is_cuda
    compiler = os.environ.get("CXX") or "g++"
    if on_gpu and not has_triton():
        raise ConfigError("--compile needs the package triton for this GPU, which is not installed: leave it out")
    if not on_gpu and not any(map(shutil.which, (compiler, "clang++", "cl"))):
        raise ConfigError(f"--compile needs a C++ compiler, and there is no {compiler}: install it, or leave it out")
    log.info("compiling backbone and box head; the first step takes minutes")
    torch._dynamo.config.cache_size_limit = 64  # training and detection, each in several sizes
    for part in (model.backbone, model.roi_heads.box_head):
        part.compile(dynamic=True)
