package access

import "github.com/agentsvc/agentsvc/internal/fault"

// account is the vendor account of what a request names, all of which the caller may see.
// What exists decides before the team that is to own something new: a knowledge base cannot
// be attached from another account. What the vendor offers to all is in every account.
func (r request) account(named []thing) (string, error) {
	var first *thing
	account := ""
	for i, t := range named {
		switch {
		case t.account == "":
		case t.Kind == kindTeam || t.shared:
			if account == "" {
				account = t.account
			}
		case first == nil:
			first = &named[i]
		case t.account != first.account && !r.method.Batch(): // the changes of a batch go each to its own
			return "", fault.Precondition("%s %s is in the vendor account %q, and %s %s in %q: the vendor cannot join what is in two accounts",
				first.Kind, r.nameOf(*first), first.account, t.Kind, r.nameOf(t), t.account)
		}
	}
	if first != nil {
		account = first.account
	}
	return account, nil
}
