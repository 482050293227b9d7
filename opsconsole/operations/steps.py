"""The points of an operation where it may be killed, and where a test does kill it: see `opsconsole.steps`."""

from __future__ import annotations

from opsconsole.steps import Steps

DECLARED = {
    "O00": "before the lock is taken",
    "O01": "the lock is held",
    "O02": "before the facts are compared",
    "O11": "the data is counted, the census is not kept",
    "O03": "the operation is recorded, nothing is done yet",
    "O04": "before a step is recorded",
    "O05": "the step is recorded, its act has not begun",
    "O06": "the act is over, its end is not recorded",
    "O07": "the end of the step is recorded",
    "O12": "the steps are over, the data is counted again, nothing is recorded of that",
    "O08": "all is done, the result is not recorded",
    "O09": "the result is recorded, the journal is not sealed",
    "O10": "sealed, the lock is still held",
    "T01": "local changes are put aside, the step is not over",
    "T02": "the tree is moved, the step is not over",
    "T03": "what was put aside is applied or conflicts, the step is not over",
    "T04": "files are kept, none is replaced",
    "T05": "a file is replaced",
    "T06": "a file is put back",
    "D01": "a release is written under another name",
    "D02": "the images of the releases have their tags",
    "D03": "each image of a release has its keeper, those that none needs are still there",
    "D04": "a service is about to be recreated",
    "D05": "a service is recreated, nobody has looked at it yet",
    "D06": "on the way to a release one service is back, the next is not",
    "D07": "a release is marked, the old ones are still there",
    "R01": "it is kept what is restored where, nothing is loaded beside yet",
    "R02": "one piece has taken the place of what is live, the next has not",
    "R03": "one piece is back in its place, the next is not",
    "V01": "the key of a replica set is there, nothing else is changed",
    "V02": "a server is the member of a set, it does not take writes yet",
    "V03": "a server has forgotten its set, it was not started anew",
    "R05": "it is decided which side stays, the other is still there",
    "R06": "Redis is stopped, its files have not changed places",
    "R07": "the files of Redis have changed places, it is not started yet",
}
"""Every point. A point that is not declared here cannot be passed."""

step = Steps(DECLARED)
