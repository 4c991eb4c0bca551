"""Models by name: `create_model`, `list_models`, `load_model`, and `Detector`, which runs a checkpoint on images.

A new model is one file in this folder with a `create_model`, and one row in `models.registry`.
"""

from importlib import import_module

from models.registry import DEFAULT_MODEL, list_models, model_spec

__all__ = ["DEFAULT_MODEL", "Detector", "create_model", "list_models", "load_model", "model_spec"]

# Imported when they are asked for, because they take torch with them, and the table of models stands without.
_LATER = {"Detector": "detector", "create_model": "build", "load_model": "build"}


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"models.{_LATER[name]}"), name)
