/** XEP-0425, and the version before with what it rode on (XEP-0422). */
export const NS_MODERATE = 'urn:xmpp:message-moderate:1';
export const NS_MODERATE_0 = 'urn:xmpp:message-moderate:0';
export const NS_FASTEN = 'urn:xmpp:fasten:0';
export const NS_RETRACT_0 = 'urn:xmpp:message-retract:0';
/** XEP-0421. */
export const NS_OCCUPANT = 'urn:xmpp:occupant-id:0';
/** XEP-0359. */
export const NS_SID = 'urn:xmpp:sid:0';
/** Of our own commands and fields. */
export const NS_ROOMS = 'parlance:rooms:1';
