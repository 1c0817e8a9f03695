# From notebooks to the book: papers -> scorecard -> HTML.
#
# `make reproduce` calls this through src/replica/book/workflow.py, which adds what Snakemake cannot know by itself
# (results of other code, stale locks). By hand: snakemake --cores 2 --keep-going
#
#   --config profile=smoke|quick|paper     the scale (default quick)
#   --config papers="a b"                  only these papers (default all)

import os
import sys

if "sources" not in config:  # called by hand; `make reproduce` hands over the plan (importing it costs half a second)
    from replica.book import plan

    config.update(plan.complete(config))
    if workflow.is_main_process:
        plan.mark_running()

PROFILE = config["profile"]
PAPERS = config["papers"]
STAMP = config["stamp"]

# A job leaves when this process dies, however it dies; on a cluster this is the Snakemake on the node.
os.environ["REPLICA_SCHEDULER_PID"] = str(os.getpid())


wildcard_constraints:
    profile="smoke|quick|paper",
    slug="[a-z0-9-]+",


localrules: all, scorecard, book


rule all:
    input:
        STAMP,


# The digest decides whether a paper runs again: code cells, parameters, imported modules, expectations, lock file.
# Times of files mean nothing in a fresh clone, hence ancient().
rule paper:
    input:
        notebook=ancient(lambda wildcards: PAPERS[wildcards.slug]["notebook"]),
        manifest=ancient(lambda wildcards: PAPERS[wildcards.slug]["manifest"]),
    output:
        "results/{profile}/{slug}/provenance.json",
    params:
        digest=lambda wildcards: PAPERS[wildcards.slug]["digest"],
    threads: lambda wildcards: PAPERS[wildcards.slug]["threads"]
    resources:
        mem_mb=lambda wildcards: PAPERS[wildcards.slug]["mem_mb"],
        runtime=lambda wildcards: PAPERS[wildcards.slug]["minutes"],
        gpu=lambda wildcards: PAPERS[wildcards.slug]["gpu"],
    log:
        "results/{profile}/.logs/{slug}.log",
    shell:
        "exec {sys.executable:q} -m replica.book.cli run {wildcards.slug} --profile {wildcards.profile}"


rule scorecard:
    input:
        config["results"],
        config["wording"],
    output:
        "results/{profile}/scorecard.json",
    log:
        "results/{profile}/.logs/scorecard.log",
    shell:
        "{sys.executable:q} -m replica.book.cli scorecard --profile {wildcards.profile} --json > {output} 2> {log}"


# build/html is not an output: Snakemake would delete it first, and a failed build must leave the book that was there.
rule book:
    input:
        f"results/{PROFILE}/scorecard.json",
        config["results"],
        config["sources"],
    output:
        touch(STAMP),
    params:
        profile=PROFILE,
    log:
        "results/.logs/book.log",
    shell:
        "{sys.executable:q} -m replica.book.cli book --profile {params.profile} > {log} 2>&1"
