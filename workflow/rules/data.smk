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
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(120),
    params:
        **plan.code("simulate"),
        **plan.settings("simulate"),
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
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.code("samples"),
        **plan.methods("samples", "datasets"),
        **plan.settings("samples"),
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
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        **plan.code("grid"),
        **plan.methods("grid", "datasets"),
        **plan.settings("grid"),
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
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(120),
    params:
        **plan.code("volumes"),
        **plan.methods("volumes", "datasets"),
        **plan.settings("volumes"),
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
        "../../envs/data.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(60),
    params:
        **plan.code("truth"),
        **plan.methods("truth", "datasets"),
        **plan.settings("truth"),
    script:
        "../scripts/truth.py"


rule background:
    input:
        maps=plan.volume_files("train", "npy"),
        tables=plan.volume_files("train", "parquet"),
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
        **plan.code("background"),
        settings={},
    script:
        "../scripts/background.py"
