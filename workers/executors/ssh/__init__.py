"""SSH: commands and files on other machines; the only place that imports asyncssh."""
