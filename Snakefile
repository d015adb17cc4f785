# The workflow `tme run` drives. By hand, with the same result to the byte:
#   snakemake --cores 4 --config sheet=cohort.csv output=results
# sheet -> Cohort -> Slide -> TissueMask -> TileGrid -> Cells, Vessels -> Measurements -> Change -> report
from snakemake.utils import min_version

min_version("9.3")


include: "workflows/rules/common.smk"
include: "workflows/rules/slides.smk"
include: "workflows/rules/cohort.smk"


rule all:
    default_target: True
    input:
        f"{OUTPUT}/manifest.json",
