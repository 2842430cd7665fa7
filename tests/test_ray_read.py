"""examples/ray_read.py: on a cluster of two nodes, of which one is killed while it reads."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import LONG, ROOT

pytest.importorskip("fsspec", reason="Ray Data is not installed: pip install 'ray[data]'")
pytest.importorskip("pyarrow", reason="Ray Data is not installed: pip install 'ray[data]'")
pytest.importorskip("ray", reason="the extra [ray] is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the warnings are Ray's own
PICTURES = sorted((ROOT / "examples" / "pictures").iterdir())
IN_A_SHARD = 40


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Twelve tar files of pictures."""
    paths = [tmp_path / f"{k:02d}.tar" for k in range(12)]
    for path in paths:
        with tarfile.open(path, "w") as archive:
            for k in range(IN_A_SHARD):
                content = PICTURES[k % len(PICTURES)].read_bytes()
                member = tarfile.TarInfo(f"{k:03d}_{PICTURES[k % len(PICTURES)].name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return paths


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Two nodes with a core each, and the second of them."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 200 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        yield cluster, cluster.add_node(**node)
    finally:
        cluster.shutdown()


def test_the_work_is_in_the_order_of_the_names(shards: list[Path]):
    specification = importlib.util.spec_from_file_location("ray_read", ROOT / "examples" / "ray_read.py")
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    first, second = map(str, PICTURES[:2])
    names = [first, str(shards[1]), str(shards[0]), second]
    assert [json.loads(piece) for piece in example.pieces(names)] == [[name] for name in names]


def test_every_answer_comes_once_and_in_order_when_a_node_dies(cluster: Any, shards: list[Path], tmp_path: Path):
    nodes, second = cluster
    names = [tmp_path / "*.tar", *PICTURES[:3], tmp_path / "none.png"]
    command = [sys.executable, ROOT / "examples" / "ray_read.py", *names, "--address", nodes.address]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    with (tmp_path / "log").open("w") as log, subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True, env=environment
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        assert lines[0], (tmp_path / "log").read_text()[-3000:]
        nodes.remove_node(second, allow_graceful=False)
        lines += process.stdout.readlines()
        assert process.wait(LONG) == 0, (tmp_path / "log").read_text()[-3000:]
    told = [json.loads(line) for line in lines]
    wanted = [f"{path}/{k:03d}_{PICTURES[k % len(PICTURES)].name}" for path in shards for k in range(IN_A_SHARD)]
    assert [answer["file"] for answer in told] == [*wanted, *map(str, PICTURES[:3]), str(tmp_path / "none.png")]
    assert told[-1]["error"] == "no such file"
    assert all(answer["text"] == Path(answer["file"]).name.removeprefix(f"{k % IN_A_SHARD:03d}_")[0]
               for k, answer in enumerate(told[: len(wanted)]))  # fmt: skip
