# SPDX-License-Identifier: GPL-2.0-or-later
# A participant as the field has them: written for Python 2, changed only where Python 3 could not parse it.
# It lies here to be loaded by the host, not to be liked.
import os

from RuoteAMQP import Workitem
from SkyNET.Control import WorkItemCtrl, ParticipantCtrl


class ParticipantHandler(object):
    """ Participant class as defined by the SkyNET API """

    def __init__(self):
        self.greeting = None
        self.states = []

    def handle_wi_control(self, ctrl):
        """ job control thread """
        self.log.info("control %s" % ctrl.message)

    def handle_lifecycle_control(self, ctrl):
        """ participant control thread """
        self.states.append(ctrl.message)
        if ctrl.message == "start":
            self.greeting = ctrl.config.get("old", "greeting")
        if os.environ.get("OLD_STATES"):
            with open(os.environ["OLD_STATES"], "a") as states:
                states.write("%s %s\n" % (ctrl.message, self.greeting))

    def handle_wi(self, wid):
        """ actual job thread """
        wid.result = False
        if not wid.fields.msg:
            wid.fields.msg = []
        if wid.fields.image is None or not wid.fields.image.name:
            wid.fields.__error__ = "Mandatory field image.name missing"
            wid.fields.msg.append(wid.fields.__error__)
            raise RuntimeError("Missing mandatory field")
        if wid.params.wait:
            import time
            time.sleep(float(wid.params.wait))
        for action in wid.fields.ev.actions or []:
            wid.fields.msg.append("%s %s" % (action["type"], wid.lookup("image.name")))
        wid.set_field("image.greeting", self.greeting)
        image = wid.fields.image.as_dict()
        image["pid"] = os.getpid()
        self.log.info("did %s" % wid.wf_name)
        if wid.params.early:
            self.send_to_engine(wid)
        wid.result = True
