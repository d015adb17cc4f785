"""How the network that tme ships was made: `make`, `distil`, `publish`, `card`, in this order."""
