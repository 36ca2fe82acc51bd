module enginebench/devcluster/runtime-wrapper

go 1.24
