"""How the network that tme ships was made, start to finish: `python -m training.make`."""
