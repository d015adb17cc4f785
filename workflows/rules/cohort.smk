# Tables, change and report of the whole cohort, from the slides' artefacts.
rule cohort:
    input:
        [f"{OUTPUT}/slides/{slide.slide_id}/outcome.json" for slide in RUN.plan.slides],
    output:
        f"{OUTPUT}/manifest.json",
    params:
        tme=TME,
        options=RUN.options,
        key=RUN.cohort_key,
    log:
        f"{OUTPUT}/logs/cohort.log",
    resources:
        mem_mb=2000,
        runtime=60,
    shell:
        "{params.tme:q} stage cohort {params.options:q} 2>> {log:q}"
