"""tme: did the tumour's microenvironment change on treatment?"""

__version__ = "0.1.0"
