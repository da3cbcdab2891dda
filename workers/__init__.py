"""What runs behind the doors: the job loop, timed sweeps and the executors."""
