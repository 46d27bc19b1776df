# From what there is to z-scored volumes and ground truth.


rule simulate:
    input:
        peaks=plan.simulation_file("peaks"),
        components=plan.simulation_file("components"),
    output:
        "results/{dataset}/tree/of-{shards}/shard-{shard}.tsv",
    log:
        "logs/{dataset}/simulate-{shard}-of-{shards}.log",
    benchmark:
        "results/benchmarks/{dataset}/simulate-{shard}-of-{shards}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(120),
    params:
        **plan.params("simulate"),
    script:
        "../scripts/simulate.py"


rule samples:
    input:
        plan.named("sheet"),
        plan.named("family"),
        plan.salt_file,
        tree=plan.each("simulate", rules.simulate.output[0]),
    output:
        samples="results/{dataset}/samples.tsv",
        images="private/{dataset}/images.tsv",
        skipped="results/{dataset}/skipped.tsv",
    log:
        "logs/{dataset}/samples.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("samples"),
    script:
        "../scripts/samples.py"


rule grid:
    input:
        plan.named("mask"),
        plan.each("simulate", rules.simulate.output[0]),
        samples=rules.samples.output.samples,
        images=rules.samples.output.images,
    output:
        mask="results/{dataset}/volumes/mask.nii.gz",
        about="results/{dataset}/volumes/mask.json",
    log:
        "logs/{dataset}/grid.log",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("grid"),
    script:
        "../scripts/grid.py"


# What maps are compared with the network at.
rule regions:
    input:
        grid=rules.grid.output[0],
        files=plan.region_files,
    output:
        image="results/{dataset}/regions.nii.gz",
        table="results/{dataset}/regions.tsv",
        about="results/{dataset}/regions.json",
    log:
        "logs/{dataset}/regions.log",
    priority: 100
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.params("regions"),
    script:
        "../scripts/regions.py"


# Words of the config that only the data know: first of what can run, as all stops where one is wrong. Nothing reads it:
# what does would be made again for a word that it does not use, and with `ancient` Snakemake looks for no other reason to
# run what comes after.
rule words:
    input:
        samples=rules.samples.output.samples,
        grid=rules.grid.output[0],
    output:
        "results/{dataset}/words.txt",
    log:
        "logs/{dataset}/words.log",
    priority: 100
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=scaled(500),
        runtime=scaled(30),
    params:
        **plan.params("words"),
    script:
        "../scripts/words.py"


rule volumes:
    input:
        plan.salt_file,
        plan.each("simulate", rules.simulate.output[0]),
        samples=rules.samples.output.samples,
        images=rules.samples.output.images,
        grid=rules.grid.output[0],
    output:
        maps="results/{dataset}/volumes/{split}/{shard}.npy",
        table="results/{dataset}/volumes/{split}/{shard}.parquet",
        skipped="results/{dataset}/volumes/{split}/{shard}.skipped.tsv",
    log:
        "logs/{dataset}/volumes-{split}-{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/volumes-{split}-{shard}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(120),
    params:
        **plan.params("volumes"),
    script:
        "../scripts/volumes.py"


rule quality:
    input:
        maps=plan.each("volumes", rules.volumes.output.maps),
        tables=plan.each("volumes", rules.volumes.output.table),
        skipped=plan.each("volumes", rules.volumes.output.skipped),
        incomplete=rules.samples.output.skipped,
        grid=rules.grid.output[0],
        assets=assets,
    output:
        tsv="results/{dataset}/quality.tsv",
        html=report(
            "results/{dataset}/quality.html",
            caption="../report/quality.rst",
            category="{dataset}",
            labels={"what": "quality of the maps"},
        ),
    log:
        "logs/{dataset}/quality.log",
    benchmark:
        "results/benchmarks/{dataset}/quality.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(120),
    params:
        **plan.params("quality"),
    script:
        "../scripts/quality.py"


rule truth:
    input:
        maps=plan.each("volumes", rules.volumes.output.maps, split="test"),
        tables=plan.each("volumes", rules.volumes.output.table, split="test"),
    output:
        "results/{dataset}/truth/class_means.parquet",
    log:
        "logs/{dataset}/truth.log",
    benchmark:
        "results/benchmarks/{dataset}/truth.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(60),
    params:
        **plan.params("truth"),
    script:
        "../scripts/truth.py"


rule background:
    input:
        maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        tables=plan.each("volumes", rules.volumes.output.table, split="train"),
    output:
        "results/{dataset}/truth/background.parquet",
    log:
        "logs/{dataset}/background.log",
    benchmark:
        "results/benchmarks/{dataset}/background.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(60),
    params:
        **plan.params("background"),
    script:
        "../scripts/background.py"


# By itself, so that a list of conditions makes no saliency map again.
rule background_chosen:
    input:
        maps=plan.each("volumes", rules.volumes.output.maps, split="train"),
        tables=plan.each("volumes", rules.volumes.output.table, split="train"),
    output:
        "results/{dataset}/truth/background-chosen.parquet",
    log:
        "logs/{dataset}/background-chosen.log",
    benchmark:
        "results/benchmarks/{dataset}/background-chosen.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(60),
    params:
        **plan.params("background_chosen", script="background"),
    script:
        "../scripts/background.py"
