"""Configurations: JSON, which is YAML too."""

import json
from pathlib import Path
from types import SimpleNamespace


def _node(value):
    return SimpleNamespace(**value) if isinstance(value, dict) else value


class _Config(SimpleNamespace):
    def merge_from_file(self, path):
        self.__dict__.update(json.loads(Path(path).read_text(), object_hook=_node).__dict__)

    def dump(self):
        return repr(self)


get_cfg = _Config


class LazyConfig:
    """Configurations that are programs."""

    @staticmethod
    def load(path):
        names = {}
        exec(Path(path).read_text(), names)
        return SimpleNamespace(dataloader=names["dataloader"], model=names["model"])


def instantiate(model):
    """A network of what a `LazyConfig` calls one."""
    from detectron2.modeling import Network

    assert model == "Network"
    return Network("RGB")
