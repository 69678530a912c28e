"""Several models by name: loaded when asked for, replaced without a pause, let go for want of memory."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assemble import random_llava, saved
from llavakit.errors import NoMemoryError, UsageError
from llavakit.llava import LLaVA
from llavakit.serve import models as models_module
from llavakit.serve.metrics import Metrics
from llavakit.serve.models import Models, parse_sources
from serve.live import Running, serving

KEY = {"Authorization": "Bearer sesame"}


def test_names_are_those_given_or_those_of_the_folder(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    folder = str(tmp_path / "mine")
    assert parse_sources(["tiny", folder, "good=org/model", "org/model"]) == {
        "tiny": "tiny", "mine": folder, "good": "org/model", "org/model": "org/model"
    }  # fmt: skip
    with pytest.raises(UsageError, match="two models are called"):
        parse_sources(["tiny", "tiny"])


def test_a_second_model_is_loaded_when_it_is_first_asked_for(saved_llava: Path):
    with serving({"one": str(saved_llava), "two": str(saved_llava)}) as server:
        assert [served.name for served in server.answering.models.served] == ["one"]
        assert server.ask(model="two").json()["model"] == "two"
        assert [served.name for served in server.answering.models.served] == ["one", "two"]


def test_a_model_is_replaced_while_it_answers(saved_llava: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(saved_llava, folder)
    with serving({"it": str(folder)}, api_key="sesame") as server:
        server.client.headers.update(KEY)
        body = {"messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 300, "stream": True}
        before = server.ask().json()["choices"][0]["message"]["content"]
        with server.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            lines = reply.iter_lines()
            next(lines)
            [old] = server.answering.models.served
            shutil.rmtree(folder)
            saved(random_llava("vicuna_v1", seed=1), folder)
            assert server.client.post("/admin/load", json={"model": "it"}).status_code == 200
            [new] = server.answering.models.served
            assert new is not old
            after = server.ask().json()["choices"][0]["message"]["content"]
            assert [line for line in lines if line][-1] == "data: [DONE]"  # the old one ends what it began
        assert after != before
        end = time.monotonic() + 20
        while old.runner.alive:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_models_are_loaded_by_clients_only_with_a_key_and_from_where_that_is_allowed(
    saved_llava: Path, tmp_path: Path, running: Running
):
    assert running.client.post("/admin/load", json={"model": "random"}).status_code == 403
    root = tmp_path / "models"
    shutil.copytree(saved_llava, root / "good")
    shutil.copytree(saved_llava, tmp_path / "bad")
    with serving({"one": str(saved_llava)}, api_key="sesame", models_root=root) as server:
        server.client.headers.update(KEY)

        def load(**body: str) -> int:
            return server.client.post("/admin/load", json=body).status_code

        assert load(model="new", source=str(root / "good")) == 200
        assert server.ask(model="new").status_code == 200
        assert load(model="new", source="tiny") == 200
        for wrong in (str(tmp_path / "bad"), str(root / ".." / "bad"), "/etc", "../bad"):
            assert load(model="new", source=wrong) == 403
        assert load(model="unknown") == 404


def test_a_model_that_cannot_be_loaded_leaves_the_old_one(saved_llava: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(saved_llava, folder)
    with serving({"it": str(folder)}, api_key="sesame") as server:
        server.client.headers.update(KEY)
        (folder / "model.safetensors").write_bytes(b"broken")
        reply = server.client.post("/admin/load", json={"model": "it"})
        assert reply.status_code == 500 and str(folder) not in reply.text
        assert server.ask().status_code == 200


def make(sources: dict[str, str]) -> Models:
    return Models(sources, loading={"device": "cpu"}, metrics=Metrics())


def test_for_want_of_memory_the_model_longest_unused_goes_and_one_in_use_stays(
    saved_llava: Path, monkeypatch: pytest.MonkeyPatch
):
    room = 2

    def load(source: str, **settings: object) -> LLaVA:
        if len(models.served) >= room:
            raise NoMemoryError("no room")
        return random_llava()

    monkeypatch.setattr(models_module.LLaVA, "from_pretrained", load)
    models = make({name: name for name in ("a", "b", "c")})

    async def story() -> None:
        async with models.lease("a"):
            async with models.lease("b"):
                pass
            async with models.lease("c"):  # a is in use: b goes
                assert [served.name for served in models.served] == ["a", "c"]
                with pytest.raises(NoMemoryError):
                    async with models.lease("b"):
                        pass
        async with models.lease("b"):
            assert [served.name for served in models.served] == ["c", "b"]
        await models.close()

    asyncio.run(story())


def test_two_who_ask_for_the_same_model_load_it_once(saved_llava: Path, monkeypatch: pytest.MonkeyPatch):
    loaded: list[str] = []
    load = LLaVA.from_pretrained

    def counted(source: str, **settings: object) -> LLaVA:
        loaded.append(source)
        return load(source, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(models_module.LLaVA, "from_pretrained", counted)
    models = make({"it": str(saved_llava)})

    async def one() -> None:
        async with models.lease(None):
            pass

    async def story() -> None:
        await asyncio.gather(*(one() for _ in range(4)))
        await models.close()

    asyncio.run(story())
    assert len(loaded) == 1


def test_nothing_is_left_running_when_a_server_ends(served: Callable[..., Running], saved_llava: Path):
    before = {thread.name for thread in threading.enumerate()}
    with serving({"it": str(saved_llava)}) as server:
        assert server.ask().status_code == 200
    assert sum(thread.name == "engine" for thread in threading.enumerate()) == ("engine" in before)
