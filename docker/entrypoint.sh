#!/bin/sh
# Runs one command of Assentry as process 1, so that it gets the signals itself.
set -eu
umask 077
exec assentry "$@"
