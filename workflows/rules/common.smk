# What every rule needs: the plan, computed once from the sheet, the settings and the files' hashes.
# Ids in the plan are checked slugs; text from the sheet never reaches a rule.
import sys

from tme.pipeline.workflow import open_workflow

RUN = open_workflow(config, discard=workflow.is_main_process and not workflow.dryrun)
OUTPUT = RUN.output
TME = [sys.executable, "-m", "tme"]
