# SPDX-License-Identifier: GPL-2.0-or-later
"""Telling others that a job has ended: by mail, webhook and hook, from an outbox in the spool.

    notices/ended/ID~SEQ              a transition into a final state, noted before the record has it (ended)
    notices/waiting/CHANNEL/          what is to be delivered; a file's time is when it is tried next (outbox)
    notices/failed/CHANNEL/           what was given up, with its reason
    notices/log, lock                 what was delivered, what hooks said; who delivers holds the lock

A job notes its end, and that only where notices/ is there; all else is done by another process (deliver), so that
nobody who is told can delay a job or have it fail. Each is told at least once, in the words of the first time.
"""
