"""Everything that knows a foreign product's name: the channels and announcers."""
