"""The real parts the tests stand on: Docker Engine, Compose, MongoDB, Redis.

Nothing here is faked. What a contributor already has (an engine with Compose v2) is used as it is; what is missing is
brought onto the machine, below directories of our own, and removed again.

    python -m tests.parts install    bring every part onto this machine (quick when done)
    python -m tests.parts up         start our own engine, unless a usable one is there, and build the images
    python -m tests.parts env        print the `export` lines that point docker and Compose at that engine
    python -m tests.parts down       stop what `up` started and remove what it made
"""
