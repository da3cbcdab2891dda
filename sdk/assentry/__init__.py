"""What agents and approvers install: the ``assentry`` command. Imports no part of the server."""
