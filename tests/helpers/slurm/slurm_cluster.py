"""A real SLURM of one node in a private folder: munged, slurmctld and slurmd on free ports, always stopped again."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")

POLL_S = 0.3
"""Seconds between two questions to SLURM, each of which starts a program."""

CONFIG = """\
ClusterName=mini
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/munge/socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=10
CompleteWait=0
MinJobAge=3600
InactiveLimit=0
OverTimeLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=normal Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=300
PartitionName=high Nodes={host} Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing_programs() -> list[str]:
    """Programs of SLURM and munge that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=_search_path()) is None]


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _end_with_parent() -> None:
    """Let the kernel end a daemon when this process is killed and cannot stop it."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class MiniCluster:
    """The cluster as a context manager.

    Args:
        root: an empty folder; its path must be short, as munge's socket is in it.
        cpus: that SLURM believes the node to have.
    """

    def __init__(self, root: Path, cpus: int = 2) -> None:
        self.root = root
        self.cpus = cpus
        self.host = socket.gethostname().split(".")[0]
        foreign = ("SLURM_", "SBATCH_", "MASTER_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        self.environment = kept | {"SLURM_CONF": str(root / "slurm.conf"), "PATH": _search_path()}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> MiniCluster:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        for folder in (self.root, self.root / "munge", self.root / "state", self.root / "spool"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        user = self.run("id", "-un").strip()
        text = CONFIG.format(host=self.host, ports=_free_ports(2), user=user, root=self.root, cpus=self.cpus)
        (self.root / "slurm.conf").write_text(text)
        munge = self.root / "munge"
        (munge / "key").write_bytes(secrets.token_bytes(128))
        (munge / "key").chmod(0o600)
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        files = [f"--{option}={munge / name}" for option, name in places.items()]
        self._daemon("munged", "--foreground", "--force", "--num-threads=2", *files)
        self.wait_for((munge / "socket").exists, "munged", 30)
        self._daemon("slurmctld", "-D", "-c", "-f", str(self.root / "slurm.conf"))
        self._daemon("slurmd", "-D", "-N", self.host, "-f", str(self.root / "slurm.conf"))
        self.wait_for(lambda: self.run("sinfo", "-h", "-o", "%T", check=False).startswith("idle"), "the node", 30)

    def _daemon(self, *command: str) -> None:
        with open(self.root / f"{command[0]}.out", "wb") as output:
            program = shutil.which(command[0], path=_search_path())
            assert program is not None, f"{command[0]} is not installed"
            self._daemons.append(
                subprocess.Popen(
                    [program, *command[1:]],
                    stdout=output,
                    stderr=output,
                    stdin=subprocess.DEVNULL,
                    env=self.environment,
                )
            )

    def logs(self, lines: int = 25) -> str:
        """The ends of the daemons' logs."""
        parts = []
        for path in sorted([*self.root.glob("*.log"), *self.root.glob("*.out"), self.root / "munge" / "log"]):
            if path.is_file():
                parts += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(parts)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command that knows the cluster; returns its standard output."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=60)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def submit(self, *arguments: str) -> str:
        """sbatch; returns the job's number."""
        return self.run("sbatch", "--parsable", *arguments).strip()

    def submit_urgent(self, *options: str) -> str:
        """Submit a short job that preempts all others but urgent ones; returns its number.

        It asks for every CPU: next to a job that leaves enough of them free it would just run.
        """
        return self.submit(
            "--partition=high", f"--ntasks={self.cpus}", "--output=/dev/null", *options, "--wrap=sleep 1"
        )

    def facts(self, job: str) -> dict[str, str]:
        """What scontrol says of a job."""
        text = self.run("scontrol", "show", "job", "--oneliner", job)
        return dict(part.split("=", 1) for part in text.split() if "=" in part)

    def wait_until(self, job: str, *states: str, restarts: int = 0, limit_s: float = 400.0) -> dict[str, str]:
        """Wait for a job to come to one of the states, having been queued again so often; returns its facts."""
        end = time.monotonic() + limit_s
        while True:
            facts = self.facts(job)
            if facts["JobState"] in states and int(facts["Restarts"]) >= restarts:
                return facts
            assert time.monotonic() < end, f"job {job}: {facts}, not {states} {restarts}\n{self.logs()}"
            time.sleep(POLL_S)

    def wait_for(self, condition: Callable[[], object], what: str, limit_s: float = 400.0) -> None:
        """Wait until something is so."""
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}\n{self.logs()}"
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End all jobs and daemons."""
        if len(self._daemons) == 3:
            self.run("scancel", "--state=PENDING", f"--user={os.getuid()}", check=False)
            self.run("scancel", f"--user={os.getuid()}", check=False)
            self.run("scancel", "--signal=KILL", "--full", f"--user={os.getuid()}", check=False)
            end = time.monotonic() + 20
            while time.monotonic() < end and self.run("squeue", "-h", check=False).strip():
                time.sleep(0.1)
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()
