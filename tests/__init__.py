"""All tests, by what they ask. `core`, `store`, `runtime`, `frontend` and `metrics` follow the folders of `src/perdure`.

    house                       do the code and its pages keep the rules of the house?
    core                        do the rules hold, with nothing around them?
    store                       does every store keep the port's promises?
    runtime, frontend, cli      does one node, one server, one process do what it should?
    metrics                     can Prometheus read what is measured?
    stories, differential, visibility, cli_transcripts   is it what the real server does?
    workers, e2e                do the SDKs' workers and the official command line get along with it?
    simulation, faults, older   does it last: seeded worlds, killed servers, files of earlier versions?

`build` has the builders of commands, requests and answers that all of them use. `tests/house/test_layout.py` holds this order.
"""
