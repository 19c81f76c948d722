"""How a process is, for those who keep it running; and which subjects stand still, for those who wait for them."""
