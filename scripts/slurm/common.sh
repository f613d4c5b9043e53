# Sourced by the job scripts of this folder; runs in the folder in which sbatch was called, the repository's.

# The interpreter: the project's environment, or PYTHON from yours.
PYTHON=${PYTHON:-.venv/bin/python}
# srun does not take this over from sbatch by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# Run a program in all tasks of the job. The programs save, queue the job again and wait to be ended when SLURM asks
# them to stop. Only while Python is still starting are they not ready for it, and then srun reports that TERM (143) or
# USR1 (138) ended them; a job that is still running then (nobody cancelled it) is queued again from here.
run_tasks() {
  srun "$@"
  local status=$?
  if [[ $status == 143 || $status == 138 ]] && scontrol show job "$SLURM_JOB_ID" | grep -q JobState=RUNNING; then
    scontrol requeue "$SLURM_JOB_ID" && sleep 60
  fi
  return "$status"
}
