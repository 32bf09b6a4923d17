# make quickstart   everything from nothing to the table of results, on head phantoms, in about twelve minutes
# make test         the test suite, about twenty minutes on two cores
# make test-long    the test suite and its long variants: many kills, many random examples
# make fuzz         random files into every reader, FUZZ_SECONDS (60) each; stops at the first that a reader cannot bear
# make lint         what the style check says
# make site         the documents and the API as pages in site/, without a network
# make benchmark    the product beside textbook variants of the same work

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXAMPLE := synthct_raw/Dataset001_HeadPhantom
CONFIGURATION := 2d_lowres
FUZZ_SECONDS ?= 60
LOWRES := synthct_results/Dataset001_HeadPhantom

# The quickstart uses the checkout's own folders, whatever is set outside.
quickstart: export synthct_raw := $(CURDIR)/synthct_raw
quickstart: export synthct_preprocessed := $(CURDIR)/synthct_preprocessed
quickstart: export synthct_results := $(CURDIR)/synthct_results

.PHONY: quickstart test test-long fuzz lint site benchmark install install-test install-fuzz clean-example

quickstart: install
	test -f $(EXAMPLE)/dataset.json || $(BIN)/synthct_make_example --train 12 --test 2 --voxel_scale 1.5
	$(BIN)/synthct_plan_and_preprocess -d 1 -c $(CONFIGURATION)
	$(BIN)/synthct_train 1 unet -c $(CONFIGURATION) --iterations 80
	$(BIN)/synthct_train 1 pix2pix -c $(CONFIGURATION) --iterations 160
	$(BIN)/synthct_train 1 unet_unpaired -c $(CONFIGURATION) --iterations 80
	$(BIN)/synthct_train 1 cyclegan -c $(CONFIGURATION) --iterations 140
	$(BIN)/synthct_predict -i $(EXAMPLE)/imagesTs -o predictions -d 1 -tr unet
	$(BIN)/synthct_evaluate -d 1

test: install-test
	$(BIN)/python -m pytest -n 2

test-long: install-test
	$(BIN)/python -m pytest -n 2 -m "long or not long" --hypothesis-profile=long

fuzz: install-fuzz
	for part in json_files images dicom; do $(BIN)/python -m fuzzing.run $$part --seconds $(FUZZ_SECONDS) || exit 1; done

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

site: install-test
	$(BIN)/mkdocs build --strict

install: $(VENV)/installed

install-test: $(VENV)/installed-test

install-fuzz: $(VENV)/installed-fuzz

$(VENV)/installed: setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

$(VENV)/installed-fuzz: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,fuzz]'
	touch $@

clean-example:
	rm -rf $(EXAMPLE) synthct_preprocessed/Dataset001_HeadPhantom $(LOWRES) predictions

benchmark: install
	for work in training_step prediction preprocessing loader metrics many_patients; do $(BIN)/python -m benchmarks.$$work || exit 1; done
