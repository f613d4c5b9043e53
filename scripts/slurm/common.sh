# Sourced by the job scripts of this folder; runs in the folder in which sbatch was called, the repository's.

# The interpreter: the project's environment, or PYTHON from yours.
PYTHON=${PYTHON:-.venv/bin/python}
# srun does not take this over from sbatch by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# A port that nobody uses on this machine, the first task's; not one of those that outgoing connections get.
free_port() {
  "$PYTHON" -c '
import random, socket
for port in random.sample(range(15000, 25000), 1000):
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            continue
    print(port)
    break'
}

# Run a program in all tasks of the job; when one fails, srun ends the others. The programs save, queue the job again and
# wait to be ended when SLURM asks them to stop. Only while Python is still starting are they not ready for it, and then
# srun reports that TERM (143) or USR1 (138) ended them; a job that is still running then (nobody cancelled it) is queued
# again from here. With several tasks TERM must be SLURM's preemption: it is also what srun ends the others with.
run_tasks() {
  local status facts tasks=${SLURM_NTASKS:-${SLURM_NNODES:-1}}
  if ((tasks > 1)); then
    # Where they meet. Lightning would derive it from the job's number, and it may be another program's.
    local -x MASTER_PORT=${MASTER_PORT:-$(free_port)}
  fi
  srun --kill-on-bad-exit=1 "$@"
  status=$?
  if [[ $status == 143 || $status == 138 ]]; then
    facts=$(scontrol show job --oneliner "$SLURM_JOB_ID")
    if [[ $facts != *JobState=RUNNING* ]]; then
      : # cancelled, or queued again already
    elif [[ $status == 143 && $tasks -gt 1 && $facts == *" PreemptTime=None "* ]]; then
      echo "SLURM does not preempt job $SLURM_JOB_ID: it is not queued again" >&2
    else
      scontrol requeue "$SLURM_JOB_ID" && sleep 60
    fi
  fi
  return "$status"
}
