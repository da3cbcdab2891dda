"""The operator's subcommands of ``assentry``; each module is imported only when it is run."""
