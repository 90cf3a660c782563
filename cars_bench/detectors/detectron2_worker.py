"""The other side of `detectron2.py`: a script for whatever interpreter has detectron2.

It imports the standard library, numpy, torch and detectron2, never `cars_bench`.  On its stdin
come frames, each four bytes of length (big-endian) and a body: first the question as JSON, then
pictures (height and width in four bytes each, then the RGB pixels row by row).  Each is answered
by one line of JSON.  Libraries print to stdout as they like: the answers go another way.

Nothing is unpickled that could run code: `.pkl` files by a reader that knows arrays and plain
containers, everything else by `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import math
import os
import pickle
import queue
import struct
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

LENGTH = struct.Struct(">I")
SIZE = struct.Struct(">II")
CONFIG_ENDINGS = (".yaml", ".py")
NO_BOXES = ("ProposalNetwork", "SemanticSegmentor")
"""Architectures whose answers are no boxes with names."""
HARMLESS = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}
"""All that a pickle of arrays has to name."""


class Refused(Exception):
    """It cannot be done.

    Args:
        kind: `missing`, `config`, `weights`, `zoo` or `failed`.
        message: Why, as a clause.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Recipe(NamedTuple):
    """What a configuration says of its network.

    Attributes:
        shortest: Pixels that a picture's shorter side is brought to,
        longest: as long as the longer one has no more than these.
        dataset: Whose classes it names.
        channels: `RGB` or `BGR`.
        text: All of it, for its digest.
        build: Makes the network, without weights.
    """

    shortest: int
    longest: int
    dataset: str
    channels: str
    text: str
    build: Callable[[], Any]


def main() -> None:
    """Answer until there is nothing more to read."""
    here = Path(__file__).resolve().parent
    # The `detectron2.py` beside this file is not the library.
    sys.path[:] = [folder for folder in sys.path if Path(folder or ".").resolve() != here]
    questions = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    frames: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_receive, args=(questions, frames), daemon=True).start()
    try:
        _serve(frames.get, lambda answer: _say(answers, answer))
    except Refused as refusal:
        _say(answers, {"refusal": {"kind": refusal.kind, "message": str(refusal)}})
    except Exception as error:
        traceback.print_exc()
        _say(answers, {"refusal": {"kind": "failed", "message": _reason(error)}})


def _receive(questions: BinaryIO, frames: queue.Queue[bytes]) -> None:
    """Take in frames; the end of them is the end of this process, whatever it is doing."""
    while True:
        head = questions.read(LENGTH.size)
        length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else -1
        body = questions.read(length) if length >= 0 else b""
        if len(body) != length:
            os._exit(0)
        frames.put(body)


def _say(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _serve(next_frame: Callable[[], bytes], say: Callable[[dict[str, Any]], None]) -> None:
    question = json.loads(next_frame())
    versions = _versions()
    config = config_file(question["config"])
    recipe = _recipe(config)
    names = _class_names(recipe.dataset)
    address = question["weights"] or _zoo_address(config)
    about = {
        "class_names": names,
        "shortest": recipe.shortest,
        "longest": recipe.longest,
        "config_sha256": hashlib.sha256(recipe.text.encode()).hexdigest(),
        "weights": address,
        "versions": versions,
    }
    say({"about": about})
    frame = next_frame()  # Only now is there anything to load a network for.
    network = recipe.build()
    _fill(network, address, own=bool(question["weights"]))
    while True:
        pixels = _pixels(frame)
        say({"boxes": _seen(network, pixels, recipe, names, question["least_score"])})
        frame = next_frame()


def _versions() -> dict[str, str]:
    try:
        import detectron2.config
        import detectron2.modeling
        import torch
    except Exception as error:
        raise Refused("missing", _reason(error)) from error
    return {"detectron2": detectron2.__version__, "torch": str(torch.__version__)}


def config_file(name: str) -> Path:
    """The file of a configuration of the model zoo, called with its ending or without.

    Raises:
        Refused: There is none of that name.
    """
    import detectron2

    root = Path(detectron2.__file__).resolve().parent / "model_zoo" / "configs"
    there = {
        path.relative_to(root).as_posix(): path
        for ending in CONFIG_ENDINGS
        for path in sorted(root.glob("*/*" + ending))
    }
    for ending in ("", *CONFIG_ENDINGS):
        if name + ending in there:
            return there[name + ending]
    near = difflib.get_close_matches(name, [item.rpartition(".")[0] for item in there], n=1)
    raise Refused("config", "it is not in the model zoo" + (f", {near[0]} is" if near else ""))


def _recipe(path: Path) -> Recipe:
    try:
        return _from_python(path) if path.suffix == ".py" else _from_yaml(path)
    except Refused:
        raise
    except Exception as error:
        raise Refused("config", f"it describes no detector ({_reason(error)})") from error


def _from_yaml(path: Path) -> Recipe:
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    config = get_cfg()
    config.merge_from_file(str(path))
    if config.MODEL.META_ARCHITECTURE in NO_BOXES or config.MODEL.LOAD_PROPOSALS:
        raise Refused("config", "it gives no boxes with names")
    text = config.dump()
    config.MODEL.DEVICE = _device()
    return Recipe(
        shortest=config.INPUT.MIN_SIZE_TEST,
        longest=config.INPUT.MAX_SIZE_TEST,
        dataset=config.DATASETS.TEST[0],
        channels=config.INPUT.FORMAT,
        text=text,
        build=lambda: build_model(config).eval(),
    )


def _from_python(path: Path) -> Recipe:
    from detectron2.config import LazyConfig, instantiate

    config = LazyConfig.load(str(path))
    mapper = config.dataloader.test.mapper
    return Recipe(
        shortest=mapper.augmentations[0].short_edge_length,
        longest=mapper.augmentations[0].max_size,
        dataset=config.dataloader.test.dataset.names,
        channels=mapper.image_format,
        text=path.read_text(encoding="utf-8"),
        build=lambda: instantiate(config.model).to(_device()).eval(),
    )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _class_names(dataset: str) -> list[str]:
    from detectron2.data import MetadataCatalog

    names = MetadataCatalog.get(dataset).get("thing_classes", None)
    if not names:
        raise Refused("config", f"detectron2 has no names for the classes of {dataset}")
    return list(names)


def _zoo_address(config: Path) -> str:
    from detectron2 import model_zoo

    name = f"{config.parent.name}/{config.name}"
    try:
        return str(model_zoo.get_checkpoint_url(name))
    except RuntimeError as error:
        raise Refused("zoo", "its model zoo has none") from error


def _fill(network: Any, address: str, own: bool) -> None:
    """Give a network its weights, all of them."""
    from detectron2.checkpoint import DetectionCheckpointer

    checkpoint = read_weights(address if own else _fetched(address))
    filled = DetectionCheckpointer(network)._load_model(checkpoint)
    lacking = [*filled.missing_keys, *(row[0] for row in filled.incorrect_shapes)]
    if lacking:
        raise Refused(
            "weights", f"{len(lacking)} tensors are not in it or of another shape: {lacking[0]}"
        )


def _fetched(address: str) -> str:
    from detectron2.utils.file_io import PathManager

    try:
        return str(PathManager.get_local_path(address))
    except Exception as error:
        raise Refused("zoo", f"{address} cannot be had ({_reason(error)})") from error


class _Arrays(pickle.Unpickler):
    """Knows arrays and plain containers; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def read_weights(path: str) -> dict[str, Any]:
    """A file of weights in the form that detectron2 takes; nothing of it is run.

    Args:
        path: `.pkl` as the model zoo has it, or what `torch.save` wrote.

    Raises:
        Refused: It holds something else, or it is damaged.
    """
    try:
        loaded = _arrays(path) if path.endswith(".pkl") else _tensors(path)
    except Exception as error:
        raise Refused("weights", f"it is no file of weights alone ({_reason(error)})") from error
    if not isinstance(loaded, dict):
        raise Refused("weights", "it is no dictionary of tensors")
    return loaded


def _arrays(path: str) -> Any:
    with Path(path).open("rb") as file:
        loaded = _Arrays(file, encoding="latin1").load()
    if not isinstance(loaded, dict) or ("model" in loaded and "__author__" in loaded):
        return loaded
    # The form of Detectron's first edition: momenta beside the weights, other names.
    blobs = loaded.get("blobs", loaded)
    model = {name: blobs[name] for name in blobs if not name.endswith("_momentum")}
    return {"model": model, "__author__": "Caffe2", "matching_heuristics": True}


def _tensors(path: str) -> Any:
    import torch

    if "weights_only" not in inspect.signature(torch.load).parameters:
        raise ValueError("torch reads it without running code from version 1.13 on")
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return {"model": loaded} if isinstance(loaded, dict) and "model" not in loaded else loaded


def _pixels(frame: bytes) -> np.ndarray:
    height, width = SIZE.unpack_from(frame)
    return np.frombuffer(frame, np.uint8, offset=SIZE.size).reshape(height, width, 3)


def _seen(
    network: Any, pixels: np.ndarray, recipe: Recipe, names: list[str], least_score: float
) -> list[dict[str, Any]]:
    import torch

    ordered = pixels if recipe.channels == "RGB" else pixels[:, :, ::-1]
    image = torch.as_tensor(np.ascontiguousarray(ordered.transpose(2, 0, 1), np.float32))
    asked = {"image": image, "height": pixels.shape[0], "width": pixels.shape[1]}
    with torch.no_grad():
        found = network([asked])[0]["instances"].to("cpu")
    boxes = found.pred_boxes.tensor.tolist()
    classes = found.pred_classes.tolist()
    return [
        {"box": boxes[index], "class_name": names[classes[index]], "score": score}
        for index, score in enumerate(found.scores.tolist())
        if score >= least_score and all(map(math.isfinite, boxes[index]))
    ]


def _reason(error: Exception) -> str:
    """The first line of what an exception says."""
    said = str(error).strip().splitlines()
    return said[0].rstrip(".") if said else type(error).__name__


if __name__ == "__main__":
    main()
