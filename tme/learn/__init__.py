"""How tme's own nucleus network is made: labelled fields -> weights.

    Field -> Crop (augmented) -> Targets -> losses -> weights -> ONNX + model card numbers

The same room serves `training/`, which made the weights tme ships, and ``tme train``, which fine-tunes
them on a user's own fields. Needs torch (the ``train`` extra); nothing else in tme imports this room.
"""
