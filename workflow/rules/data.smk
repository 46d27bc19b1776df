# From what there is to z-scored volumes and ground truth.


rule simulate:
    input:
        peaks=plan.source_file("peaks"),
        components=plan.source_file("components"),
    output:
        "results/{dataset}/tree/shard-{shard}.tsv",
    log:
        "logs/{dataset}/simulate-{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/simulate-{shard}.tsv"
    conda:
        plan.conda("data")
    threads: 1
    resources:
        mem_mb=plan.scaled(2000),
        runtime=plan.scaled(120),
    params:
        **plan.code("simulate"),
        settings=plan.simulate_settings,
    script:
        "../scripts/simulate.py"


rule samples:
    input:
        plan.tree_files,
        plan.source_file("sheet"),
    output:
        "results/{dataset}/samples.tsv",
    log:
        "logs/{dataset}/samples.log",
    conda:
        plan.conda("data")
    resources:
        mem_mb=plan.scaled(1000),
        runtime=plan.scaled(30),
    params:
        **plan.code("samples"),
        settings=plan.samples_settings,
        method=plan.methods("samples", "datasets"),
    script:
        "../scripts/samples.py"


rule grid:
    input:
        plan.mask_file,
        samples="results/{dataset}/samples.tsv",
    output:
        "results/{dataset}/volumes/mask.nii.gz",
    log:
        "logs/{dataset}/grid.log",
    conda:
        plan.conda("data")
    resources:
        mem_mb=plan.scaled(1000),
        runtime=plan.scaled(30),
    params:
        **plan.code("grid"),
        settings=plan.grid_settings,
        method=plan.methods("grid", "datasets"),
    script:
        "../scripts/grid.py"


rule volumes:
    input:
        samples="results/{dataset}/samples.tsv",
        grid="results/{dataset}/volumes/mask.nii.gz",
    output:
        maps="results/{dataset}/volumes/{split}/{shard}.npy",
        table="results/{dataset}/volumes/{split}/{shard}.parquet",
    log:
        "logs/{dataset}/volumes-{split}-{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/volumes-{split}-{shard}.tsv"
    conda:
        plan.conda("data")
    resources:
        mem_mb=plan.scaled(1000),
        runtime=plan.scaled(120),
    params:
        **plan.code("volumes"),
        settings=plan.volumes_settings,
        method=plan.methods("volumes", "datasets"),
    script:
        "../scripts/volumes.py"


rule truth:
    input:
        maps=plan.volume_files("test", "npy"),
        tables=plan.volume_files("test", "parquet"),
    output:
        "results/{dataset}/truth/class_means.parquet",
    log:
        "logs/{dataset}/truth.log",
    benchmark:
        "results/benchmarks/{dataset}/truth.tsv"
    conda:
        plan.conda("data")
    resources:
        mem_mb=plan.scaled(1000),
        runtime=plan.scaled(60),
    params:
        **plan.code("truth"),
        settings=plan.truth_settings,
        method=plan.methods("truth", "datasets"),
    script:
        "../scripts/truth.py"
