"""The app: upload a model, say or show what it is to do, watch the run, look at what came of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from animate3d.errors import Animate3DError, InputError
from animate3d.viewer.choices import NONE, Choices
from animate3d.viewer.jobs import NOTE, Job, Queue
from animate3d.viewer.moving import Show
from animate3d.viewer.sources import load_scene, load_show
from animate3d.viewer.stage import Stage, plain
from animate3d.viewer.upload_limit import limit_uploads
from animate3d.viewer.workspace import Workspace

_SHOWN_LINES = 8
_OF_PROMPT = ("note: ", "“")  # how lines begin that say how the prompt was read
_MODELS = ("model", "2nd model", "3rd model", "4th model")
_VIDEOS = ("video", "2nd video", "3rd video", "4th video")
_SIGNS = {"waiting": "◌", "running": "▶", "done": "✓", "failed": "✗", "cancelled": "✗", "stopped": "❚❚"}


class App:
    """One page for all tabs: what is chosen and shown is kept here and in the workspace, not in the browser.

    Args:
        server: of `open_server`.
        workspace: its models and runs.
    """

    def __init__(self, server: Any, workspace: Workspace) -> None:
        self.server, self.workspace = server, workspace
        self.queue = Queue(self._job_changed)
        self._lock = threading.RLock()
        tabs = server.gui.add_tab_group()
        with tabs.add_tab("animate"):
            self._make_animate()
        with tabs.add_tab("runs"):
            self._make_runs()
        self._message = server.gui.add_markdown("")
        server.gui.add_divider()
        self.stage = Stage(server)
        limit_uploads(server, workspace.limit, lambda name, size: self._attempt(workspace.check, name, size))
        self.models.offer(workspace.models())
        self.videos.offer(workspace.videos())
        self._list_runs()
        self.stage.clear("Upload a model: obj, glb, gltf, ply, stl, off, fbx, splat or spz.")

    def close(self) -> None:
        """End the run at work; the same command continues it."""
        self.queue.close()
        self.stage.close()

    # Controls

    def _make_animate(self) -> None:
        gui = self.server.gui
        upload = gui.add_upload_button("upload a model", hint="one file; its textures inside it")
        self.models = Choices(gui, _MODELS, ["what is animated", *["beside it"] * 3], self._models_chosen)
        self.prompt = gui.add_text("it does", "", hint='a sentence, such as "a butterfly is flapping its wings"')
        film = gui.add_upload_button("or upload a video of it", hint="plain background, steady camera")
        self.videos = Choices(gui, _VIDEOS, ["how it moves", *["of the same moment, from another side"] * 3])
        start = gui.add_button("animate", color="green")
        self.cancel = gui.add_button("cancel", visible=False, color="red")
        self.progress = gui.add_markdown("")
        upload.on_upload(lambda event: self._attempt(self._take_model, event.target.value))
        film.on_upload(lambda event: self._attempt(self._take_video, event.target.value))
        start.on_click(lambda event: self._attempt(self._animate))
        self.cancel.on_click(lambda event: self._attempt(self._cancel))

    def _make_runs(self) -> None:
        gui = self.server.gui
        self.run = gui.add_dropdown("run", (NONE,), initial_value=NONE)
        self.beside = gui.add_dropdown("beside it", (NONE,), initial_value=NONE, hint="compare with another run")
        self.again = gui.add_button("continue this run", visible=False)
        self.log = gui.add_markdown("")
        self.file = gui.add_dropdown("file", (NONE,), initial_value=NONE)
        download = gui.add_button("download")
        for control in (self.run, self.beside):
            control.on_update(lambda event: self._chosen(event, self._show_run))
        self.again.on_click(lambda event: self._attempt(self._continue))
        download.on_click(lambda event: self._attempt(self._download, event.client))

    def _attempt(self, action: Callable[..., object], *arguments: object) -> None:
        """Do what somebody asked for; what is wrong with it is one sentence on the page."""
        try:
            self._message.content = ""
            action(*arguments)
        except Animate3DError as error:
            self._message.content = f"⚠ {plain(str(error))}"
        except OSError as error:
            self._message.content = f"⚠ {plain(f'{error.filename}: {error.strerror}.')}"

    def _chosen(self, event: Any, action: Callable[[], object]) -> None:
        if event.client is not None:  # otherwise the app itself has set the value
            self._attempt(action)

    # Animate

    def _take_model(self, upload: Any) -> None:
        path = self.workspace.keep_model(upload.name, upload.content)
        try:
            show = load_show(path)
        except Animate3DError as error:
            path.unlink(missing_ok=True)
            sentence = str(error).replace(f"{path}", path.name)
            raise InputError(f"{sentence} It was not kept.") from error
        self.models.offer(self.workspace.models())
        self.models.choose(path.name)
        self.stage.show(show)

    def _take_video(self, upload: Any) -> None:
        path = self.workspace.keep_video(upload.name, upload.content)
        self.videos.offer(self.workspace.videos())
        self.videos.add(path.name)

    def _models_chosen(self, event: Any) -> None:
        self._attempt(self._show_models)

    def _show_models(self) -> None:
        models = self.models.chosen
        if models:
            self.stage.show(load_show(models[0]) if len(models) == 1 else load_scene(models))

    def _animate(self) -> None:
        if not self.models.chosen:
            raise InputError("Upload a model first.")
        self.queue.submit(self.workspace.new_job(self.models.chosen, self.prompt.value, self.videos.chosen))

    def _cancel(self) -> None:
        jobs = self.queue.jobs
        if jobs:
            self.queue.cancel(jobs[0])

    def _job_changed(self, job: Job) -> None:
        with self._lock:
            jobs = self.queue.jobs
            self.cancel.visible = any(other.open for other in jobs)
            waiting = f"  \n{len(jobs) - 1} more waiting" if len(jobs) > 1 else ""
            self.progress.content = f"{_heading(job)}  \n{_last_lines(job)}{waiting}"
            if self.run.value == job.folder.name:
                self._tell_run(job)
            if job.state == "waiting" or not job.open:
                self._list_runs()
        if job.state == "done":
            self.run.value = job.folder.name
            self._attempt(self._show_run)
        elif job.state == "failed":
            told = [line for line in job.lines if line.startswith("error:")] or job.lines[-1:]
            self._message.content = f"⚠ {plain(' '.join(told).removeprefix('error: ').replace(f'{job.folder}/', ''))}"

    # Runs

    def _show_run(self) -> None:
        name = self.run.value
        if name == NONE:
            return
        job = Job.load(self.workspace.run(name))
        self._tell_run(job)
        self.file.options = tuple(self.workspace.results(name)) or (NONE,)
        if job is not None and job.state != "done":
            self.stage.clear(f"{name} has no result: {job.state}.")
            return
        shows = [self._loaded(name)]
        if self.beside.value not in (NONE, name):
            shows.append(self._loaded(self.beside.value))
        self.stage.show(*shows)

    def _tell_run(self, job: Job | None) -> None:
        self.again.visible = job is not None and job.state in ("stopped", "failed", "cancelled")
        self.log.content = "" if job is None else f"{_heading(job)}  \n{_last_lines(job)}"

    def _loaded(self, name: str) -> Show:
        show = load_show(self.workspace.run(name))
        return replace(show, title=f"{name}: {show.title}")

    def _continue(self) -> None:
        job = Job.load(self.workspace.run(self.run.value))
        if job is not None:
            self.queue.submit(job)

    def _download(self, client: Any) -> None:
        if self.run.value == NONE:
            raise InputError("Choose a run first.")
        path = self.workspace.results(self.run.value).get(self.file.value)
        if path is not None and client is not None:
            client.send_file_download(path.name, path.read_bytes(), save_immediately=True)

    # Lists

    def _list_runs(self) -> None:
        names = (NONE, *self.workspace.runs())
        for control in (self.run, self.beside):
            before = control.value
            control.options = names
            control.value = before if before in names else NONE


def _heading(job: Job) -> str:
    with contextlib.suppress(OSError):  # somebody has deleted the folder
        since = time.strftime(" since %H:%M", time.localtime((job.folder / NOTE).stat().st_mtime))
        return f"**{_SIGNS[job.state]} {plain(job.folder.name)}** {job.state}{since}"
    return f"**{_SIGNS[job.state]} {plain(job.folder.name)}** {job.state}"


def _last_lines(job: Job) -> str:
    """What it said last, below what it said of the prompt, however long ago."""
    lines = [*job.lines, *([job.doing] if job.doing else [])]
    lines, earlier = lines[-_SHOWN_LINES:], lines[:-_SHOWN_LINES]
    lines = [line for line in earlier if line.startswith(_OF_PROMPT)] + lines
    return "  \n".join(plain(line.replace(f"{job.folder}/", "")) for line in lines)
