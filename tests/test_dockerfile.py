"""Dockerfile without an engine: each step in a root of its own, then the image as it is told to run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from conftest import LONG, ROOT
from test_packaging import PROJECT, PYPROJECT, needed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "chroot", "ip"))),
        reason="only root on Linux can change the root: run as root, with util-linux and iproute2",
    ),
    pytest.mark.skipif(not Path(sys.base_prefix, "bin", "python").exists(), reason="this Python has no bin/python"),
]
SYSTEM = ("usr", "bin", "sbin", "lib", "lib64")  # of this machine: what the image's Debian has
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USER = 1000
ASK = """
import json, sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

def ask(path, body=None, host="127.0.0.1:7860"):
    try:
        with urlopen(Request("http://127.0.0.1:7860/" + path, body, {"host": host}), timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as problem:
        return problem.code, problem.read()

picture = ask("static/examples/number.png")[1]
print("told", json.dumps({
    "predict": json.loads(ask("predict", picture)[1])["text"], "kept": ask("corrections?label=2026", picture)[0],
    "space": ask("v2/health/ready", host="someone-mnistry.hf.space")[0],
    "foreign": ask("v2/health/ready", host="elsewhere.example")[0],
}))
"""


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for line in lines if line for name, _, rest in [line.partition(" ")]]


def stages() -> list[list[tuple[str, str]]]:
    """The same by stage, each without its FROM."""
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        else:
            found[-1].append((name, rest))
    return found


def new_root(root: Path) -> Path:
    """A root that has this machine's programs, its Python in /usr/local, the user root, and nothing more."""
    root.chmod(0o755)
    for name in SYSTEM:
        if (host := Path("/", name)).is_symlink():
            (root / name).symlink_to(host.readlink())
        elif host.is_dir():
            (root / name).mkdir(parents=True)
    for name in ("dev", "proc", "tmp", "etc", "home"):
        (root / name).mkdir(parents=True)
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        (root / sys.base_prefix.lstrip("/")).mkdir(parents=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    for name in ("ld.so.cache", "login.defs"):
        if Path("/etc", name).is_file():
            shutil.copy(Path("/etc", name), root / "etc")
    return root


def inside(root: Path, script: str, read_only: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run a shell script where this root can be entered by `chroot .`: own mounts and processes, no network."""
    folders = [name for name in SYSTEM if not (root / name).is_symlink() and (root / name).is_dir()]
    places = {"usr/local", sys.base_prefix.lstrip("/")}  # its own place, too: there it may look for its library
    binds = [("/" + name, name) for name in folders] + [(sys.base_prefix, place) for place in sorted(places)]
    mounts = ["set -e", "mount --bind . .", 'cd "$PWD"']
    for source, place in binds:
        mounts += [f"mount --bind {shlex.quote(source)} {place}", f"mount -o remount,bind,ro {place}"]
    mounts += ["mount --bind /dev dev", "mount -t proc proc proc", "mount -t tmpfs -o mode=1777 tmpfs tmp"]
    if read_only:
        mounts += ["mount --bind data data", "mount -o remount,bind,ro .", "ip link set lo up"]
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c"]
    command.append("\n".join([*mounts, script]))
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=3 * LONG, check=False)


def entered(command: str, environment: dict[str, str], user: int = 0) -> str:
    """The shell's words for a command in this root, with no other environment than this."""
    given = [f"{name}={value}" for name, value in environment.items()]
    return shlex.join(["chroot", f"--userspec={user}:{user}", ".", "env", "-i", *given]) + " " + command


def copy(arguments: str, root: Path, others: dict[str, Path]) -> None:
    """COPY, of the repository without what .dockerignore leaves out, or from another stage."""
    source, target = arguments.split()[-2:]
    if stage := re.match(r"--from=(\S+)", arguments):
        shutil.move(others[stage[1]] / source.lstrip("/"), root / target.lstrip("/"))
        return
    left_out = [line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()]
    shutil.copytree(ROOT / source, root / target.lstrip("/"), ignore=shutil.ignore_patterns(*left_out))


def wheels(folder: Path) -> None:
    """All that `pip install '.[serve]'` fetches, as wheels of what is installed here: no test needs a network."""
    folder.mkdir()
    wanted = [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["serve"],
        *PYPROJECT["build-system"]["requires"],
    ]
    for name in needed(wanted):
        found = metadata.distribution(name)
        tag = next(tag for tag in re.findall(r"^Tag: (.*)$", found.read_text("WHEEL") or "", re.M) if tag[:3] != "py2")
        stem = f"{found.metadata['Name'].replace('-', '_')}-{found.version}"
        with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
            for file in found.files or []:
                if ".." not in file.parts and "__pycache__" not in file.parts and file.name != "RECORD":
                    wheel.write(str(found.locate_file(file)), str(file))
                elif file.name == "RECORD":
                    wheel.writestr(str(file), "")


@dataclass
class Image:
    """What came of the Dockerfile: the root of its last stage, that stage's instructions, its environment."""

    root: Path
    told: dict[str, str]
    environment: dict[str, str]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image: every COPY, ENV and RUN done in its order. Fails where one fails."""
    names = [re.search(r" AS (\S+)", rest) for name, rest in instructions() if name == "FROM"]
    roots = {(name[1] if name else "last"): new_root(tmp_path_factory.mktemp("root")) for name in names}
    for root, steps in zip(roots.values(), stages(), strict=True):
        environment = {"PATH": PATH, "HOME": "/root"}
        for name, rest in steps:
            if name == "COPY":
                copy(rest, root, roots)
            elif name == "ENV":
                environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            elif name == "RUN":
                if "pip install" in rest:
                    wheels(root / "wheels")
                offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
                done = inside(root, entered(shlex.join(["sh", "-c", rest]), environment | offline))
                assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"
    return Image(root, dict(steps), environment)


def test_the_image_has_a_user_without_rights_and_a_folder_of_its_own(image: Image):
    assert image.told["USER"] == str(USER)
    assert re.search(rf"^mnistry:[^:]*:{USER}:", (image.root / "etc" / "passwd").read_text(), re.MULTILINE)
    assert image.told["VOLUME"] == "/data"
    assert (image.root / "data").stat().st_uid == USER
    assert (image.root / "app" / "bin" / "mnistry").stat().st_uid == 0


def test_the_image_serves_without_network_or_a_place_to_write_and_ends_in_order(image: Image):
    told, environment = image.told, image.environment | {"HOME": "/home/mnistry"}
    assert (told["STOPSIGNAL"], told["EXPOSE"]) == ("SIGTERM", "7860")
    health = shlex.join(json.loads(told["HEALTHCHECK"].partition(" CMD ")[2]))
    trial = f"""
      {entered(shlex.join(json.loads(told["CMD"])), environment, USER)} & service=$!
      for try in $(seq {LONG // 5}); do
        if {entered(health, environment, USER)} 2>/dev/null; then echo healthy; break; fi; sleep 1
      done
      {entered(shlex.join(["/app/bin/python", "-c", ASK]), environment, USER)}
      {entered("touch /app/x /etc/x", environment)} 2>/dev/null || echo read-only
      kill -TERM $service; set +e; wait $service; echo ended with $?
    """
    done = inside(image.root, trial, read_only=True)
    assert {"healthy", "read-only", "ended with 0"} <= set(done.stdout.splitlines()), done.stdout + done.stderr[-3000:]
    answers = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("told "))[5:])
    assert answers == {"predict": "2026", "kept": 201, "space": 200, "foreign": 403}
    assert {file.stat().st_uid for file in (image.root / "data").rglob("*")} == {USER}
