"""TensorBoard: one event file a run, in a folder that `tensorboard --logdir` shows.

An event file is TFRecord records of `Event` protos.  It is written here with TensorBoard's own
protos, without TensorFlow, which takes seconds to import.  Only its end is ever written to;
what a killed writer left there is cut off.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from cars_bench.atomic import atomic_path, sync_folder
from cars_bench.cache.shards import ShardDamaged, frame, frames
from cars_bench.errors import InputError
from cars_bench.tracking.rows import Parameter, Point, Status, TrackedRun
from cars_bench.tracking.tracker import Tracker, Written, missing
from cars_bench.workspace import BINARY, plain_bytes, sha256_file

EVENTS_FILE = "events.out.tfevents.cars-bench"
VERSION = "brain.Event:2"
ENDS: dict[int, Status] = {
    api_pb2.Status.STATUS_SUCCESS: "completed",
    api_pb2.Status.STATUS_FAILURE: "failed",
}
STATUSES = {status: number for number, status in ENDS.items()}


class TensorBoardTracker(Tracker):
    """Event files `FOLDER/GROUP/RUN/`, and the run's files beside each.

    Args:
        folder: What is given to `tensorboard --logdir`; made if need be.

    Raises:
        InputError: It cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown = f"tensorboard --logdir {folder}"
        try:
            self.check()
        except OSError as error:
            raise InputError(
                f"TensorBoard's folder {folder} cannot be written to ({error.strerror}).",
                "--track tensorboard:FOLDER with another one",
            ) from error

    def check(self) -> None:
        """Raise where the folder cannot be written to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13), str(self.folder))

    def written(self, run: TrackedRun) -> Written:
        """What the run's event file holds, and which files lie beside it."""
        folder = self._folder(run)
        events = [event for event, _ in _events(folder / EVENTS_FILE)]
        values = [(event.step, value) for event in events for value in event.summary.value]
        found = [(value.tag, step) for step, value in values if value.HasField("simple_value")]
        ends = [status for _, value in values if (status := _end(value))]
        return Written(
            begun=events[0].wall_time if events else run.begun,
            status=ends[-1] if ends else "running",
            parameters={name for _, value in values for name in _parameters(value)},
            points=set(found),
            artifacts={
                path.name: sha256_file(folder / path.name)
                for path in run.artifacts
                if (folder / path.name).is_file()
            },
        )

    def write(self, run: TrackedRun, written: Written) -> None:
        """Append to the run's event file, and copy its files."""
        folder = self._folder(run)
        lacking = missing(run, written)
        folder.mkdir(parents=True, exist_ok=True)
        _append(folder / EVENTS_FILE, list(_new_events(lacking, written)), lacking.begun)
        for path in lacking.artifacts:
            with atomic_path(folder / path.name) as temporary:
                shutil.copyfile(path, temporary)

    def _folder(self, run: TrackedRun) -> Path:
        return self.folder / run.group / run.key


def _events(path: Path) -> Iterator[tuple[Event, int]]:
    """The whole events of a file with where each ends, up to a damaged one; none without a file."""
    try:
        data = plain_bytes(path)
    except FileNotFoundError:
        return
    try:
        for start, end in frames(data, checksums=True):
            yield Event.FromString(data[start:end]), end + 4
    except ShardDamaged:  # the end is missing: it is written again
        return


def _append(path: Path, events: Sequence[Event], begun: float) -> None:
    """Write events behind the whole ones; they are on the disk when this returns."""
    if not events:
        return
    ends = [end for _, end in _events(path)]
    first = [] if ends else [Event(wall_time=begun, file_version=VERSION)]
    data = memoryview(b"".join(frame(event.SerializeToString()) for event in [*first, *events]))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o666)
    try:
        os.ftruncate(descriptor, ends[-1] if ends else 0)
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _new_events(run: TrackedRun, written: Written) -> Iterator[Event]:
    """Events of a run's missing rows: its parameters, its points in order, its end."""
    if run.parameters:
        yield _event(run.begun, _begin(run))
    for point in sorted(run.points, key=lambda item: (item.step, item.name)):
        yield _scalar(run.begun, point)
    if run.status != written.status and run.status in STATUSES:
        last = max((point.after for point in run.points), default=0.0)
        yield _event(run.begun + last, _ended(run.status, run.begun + last))


def _scalar(begun: float, point: Point) -> Event:
    value = Summary.Value(tag=point.name, simple_value=point.value)
    return _event(begun + point.after, value, point.step)


def _event(time: float, value: Summary.Value, step: int = 0) -> Event:
    return Event(wall_time=time, step=step, summary=Summary(value=[value]))


def _begin(run: TrackedRun) -> Summary.Value:
    """The parameters, as the plugin HParams lists and compares them."""
    info = plugin_data_pb2.SessionStartInfo(
        group_name=f"{run.group}/{run.key}", start_time_secs=run.begun
    )
    for name, value in sorted(run.parameters.items()):
        setattr(info.hparams[name], _field(value), value)
    return _plugin_value(metadata.SESSION_START_INFO_TAG, session_start_info=info)


def _field(value: Parameter) -> str:
    if isinstance(value, bool):
        return "bool_value"
    return "string_value" if isinstance(value, str) else "number_value"


def _ended(status: Status, time: float) -> Summary.Value:
    info = plugin_data_pb2.SessionEndInfo(status=STATUSES[status], end_time_secs=time)
    return _plugin_value(metadata.SESSION_END_INFO_TAG, session_end_info=info)


def _plugin_value(tag: str, **info: Any) -> Summary.Value:
    content = plugin_data_pb2.HParamsPluginData(**info)
    return Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(content),
        tensor=metadata.NULL_TENSOR,
    )


def _parameters(value: Summary.Value) -> list[str]:
    if value.tag != metadata.SESSION_START_INFO_TAG:
        return []
    content = value.metadata.plugin_data.content
    return list(metadata.parse_session_start_info_plugin_data(content).hparams)


def _end(value: Summary.Value) -> Status | None:
    if value.tag != metadata.SESSION_END_INFO_TAG:
        return None
    content = value.metadata.plugin_data.content
    return ENDS[metadata.parse_session_end_info_plugin_data(content).status]
