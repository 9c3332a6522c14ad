"""Apache Kafka's jars and others, fetched once by Maven into the repository's cache, and a Java to run them."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .broker import BrokerUnavailableError

_POM = Path(__file__).with_name("pom.xml")
_CACHES = Path(__file__).parents[2] / ".cache"
_OLDEST_JAVA = 17  # Kafka 4's broker runs on nothing older.
_JAVA_SECONDS = 30
_MAVEN_SECONDS = 600  # 45 jars, 43 MB: 7 s on a good line.


@dataclass(frozen=True, slots=True)
class Installation:
    """A Kafka, or another program of Java's, ready to run.

    Attributes:
        version: Its version, as in the pom.
        java: The `java` command.
        java_version: Its major version.
        jars: The directory that holds it and all that it needs.

    """

    version: str
    java: str
    java_version: int
    jars: Path


def find_installation() -> Installation:
    """Return Kafka's jars and a fitting Java; the first call on a machine downloads the jars.

    Safe to call from several processes at once: one downloads, the others wait for it.

    Raises:
        BrokerUnavailableError: No Java 17 or newer, no Maven while the jars are missing, or the download failed.

    """
    return install("kafka", _POM)


def install(name: str, pom: Path) -> Installation:
    """Return the jars that a pom names, of the version in its `<NAME.version>`, and a fitting Java.

    Safe to call from several processes at once: one downloads, the others wait for it.

    Raises:
        BrokerUnavailableError: No Java 17 or newer, no Maven while the jars are missing, or the download failed.

    """
    java, java_version = _find_java()
    version = _version(name, pom)
    cache = _CACHES / name
    jars = cache / version
    if not jars.is_dir():  # The rename below makes it appear complete or not at all.
        with _locked(cache):
            if not jars.is_dir():
                _download(pom, jars, f"{name} {version}")
    return Installation(version=version, java=java, java_version=java_version, jars=jars)


def _version(name: str, pom: Path) -> str:
    found = re.search(rf"<{name}\.version>(.+?)</{name}\.version>", pom.read_text(encoding="utf-8"))
    if found is None:
        message = f"{pom.name} names no <{name}.version>"
        raise BrokerUnavailableError(message)
    return found[1]


def _find_java() -> tuple[str, int]:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        message = "no java command " + ("in JAVA_HOME" if home else "on the PATH")
        raise BrokerUnavailableError(message)
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=_JAVA_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        message = f"java -version failed: {error}"
        raise BrokerUnavailableError(message) from error
    found = re.search(r'version "(\d+)', answer.stderr)
    version = int(found[1]) if found else 0
    if version < _OLDEST_JAVA:  # "1.8.0" reads as 1, which is right too.
        message = f"Java {_OLDEST_JAVA} or newer is needed, found {answer.stderr.strip() or 'no version'!r}"
        raise BrokerUnavailableError(message)
    return java, version


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; the kernel releases it even if this process is killed."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ".gitignore").write_text("*\n", encoding="utf-8")
    with (directory / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(pom: Path, jars: Path, what: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        message = f"the jars of {what} are not in .cache, and there is no mvn command to fetch them"
        raise BrokerUnavailableError(message)
    partial = jars.with_name(f".{jars.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # Left by a run that was killed; the lock says that nobody fills it.
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
    try:
        run = subprocess.run(
            [maven, "--batch-mode", "--quiet", "--file", str(pom), *goal],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_MAVEN_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        message = f"Maven could not fetch {what}: {error}"
        raise BrokerUnavailableError(message) from error
    if run.returncode:
        first = next((line for line in run.stdout.splitlines() if "ERROR" in line), run.stderr.strip() or "no output")
        message = f"Maven could not fetch {what} (exit {run.returncode}): {first}"
        raise BrokerUnavailableError(message)
    partial.rename(jars)
