# One rule per batch: small slides share a process, a large one has its own. Each slide ends in an
# outcome.json whatever happens to it, so a broken slide never fails a rule.
for number, batch in enumerate(RUN.plan.batches):

    rule:
        name:
            f"slides_{number:04d}"
        output:
            [f"{OUTPUT}/slides/{slide}/outcome.json" for slide in batch],
        params:
            tme=TME,
            options=RUN.options,
            slides=list(batch),
            plan_keys=RUN.keys(batch),
        log:
            f"{OUTPUT}/logs/slides_{number:04d}.log",
        threads: RUN.threads(workflow.cores)
        resources:
            mem_mb=RUN.memory_mb(workflow.cores),
            runtime=720,
        shell:
            "{params.tme:q} stage slides {params.options:q} --workers {threads} {params.slides:q} 2>> {log:q}"
